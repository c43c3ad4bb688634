"""The flags that are settings of a cluster, for every verb that plans one."""

from __future__ import annotations

import argparse
from typing import Any

from cluster.errors import UsageError

PLAN_SETTINGS = (
    "model",
    "stages",
    "layers",
    "tensor_split",
    "headroom",
    "ctx_size",
    "parallel",
    "threads",
    "ubatch_size",
    "cache_type_k",
    "cache_type_v",
    "flash_attn",
)


def add_plan_flags(parser: argparse.ArgumentParser, model_help: str) -> None:
    """The model, where its layers go, and what each stage is given."""
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL.gguf", help=model_help)
    add("--demo", action="store_true", help="the small model that ships with the package")
    add("--config", metavar="FILE", help="TOML file with these settings; flags win over it")
    add(
        "--stages",
        type=num_stages,
        metavar="auto|N",
        help="how many slices (default auto: one per GPU, two on a lone CPU)",
    )
    add("--devices", metavar="A,B,...", help="ggml device of each stage, e.g. CPU,CUDA0 (see up --list-devices)")
    add("--layers", metavar="0-11,12-23", help="layers of each stage, both ends included (default: searched)")
    add("-ts", "--tensor-split", metavar="3,1", help="or each stage's share of the layers")
    add("--headroom", type=float, metavar="SHARE", help="of each device's free memory, left alone (default: 0.1)")
    add("-c", "--ctx-size", type=int, metavar="N", help="tokens per slot, prompt and answer (default: up to 4096)")
    add("-np", "--parallel", type=int, metavar="N", help="slots: sequences computed at once (default: 8)")
    add("-t", "--threads", type=int, metavar="N", help="CPU threads per stage (default: cores / stages)")
    add("-ub", "--ubatch-size", type=int, metavar="N", help="most rows of one microbatch (default: 512)")
    add("-ctk", "--cache-type-k", metavar="TYPE", help="type of the K cache (default: f16)")
    add("-ctv", "--cache-type-v", metavar="TYPE", help="type of the V cache (default: f16)")
    add("-fa", "--flash-attn", metavar="on|off|auto", help="flash attention (default: auto)")


def num_stages(text: str) -> int | None:
    """The value of --stages: a number, or None for ``auto``."""
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!a} is neither a number nor auto") from error


def given_settings(options: argparse.Namespace, names: tuple[str, ...] = PLAN_SETTINGS) -> dict[str, Any]:
    """The flags as settings: None where the flag was not given."""
    settings = {name: getattr(options, name) for name in names}
    if options.demo and options.model:
        raise UsageError(f"model: both {options.model} and --demo; name one of them")
    if options.demo:
        from cluster.demo import model_path

        settings["model"] = str(model_path())
    if options.devices is not None:
        settings["devices"] = tuple(name.strip() for name in options.devices.split(",") if name.strip())
    return settings
