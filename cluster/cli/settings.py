"""The flags that are settings of a cluster, for every verb that plans one."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from cluster.api.errors import UsageError
from cluster.config import DEFAULT_UBATCH_SIZE
from cluster.sources.name import HUB_PREFIX

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
    add(
        "model",
        nargs="?",
        metavar="MODEL",
        help=f"{model_help}: a GGUF file (the first, if split), hf:org/repo:Q4_K_M, or an http(s) URL",
    )
    add("-m", "--model", dest="model_flag", metavar="FILE", help="the same as MODEL")
    add("-mu", "--model-url", metavar="URL", help="the same as MODEL")
    add("-hf", "-hfr", "--hf-repo", metavar="REPO:QUANT", help="the same as MODEL hf:REPO:QUANT")
    add("--demo", action="store_true", help="the small model that ships with the package")
    add("--config", metavar="FILE", help="TOML file with these settings; flags win over it")
    add(
        "--stages",
        type=num_stages,
        metavar="auto|N",
        help="how many slices (default auto: one per GPU, two on a lone CPU)",
    )
    add(
        "-dev",
        "--devices",
        "--device",
        metavar="A,B,...",
        help="ggml device of each stage, e.g. CPU,CUDA0; none: CPU (see up --list-devices)",
    )
    add("--layers", metavar="0-11,12-23", help="layers of each stage, both ends included (default: searched)")
    add("-ts", "--tensor-split", metavar="3,1", help="or each stage's share of the layers")
    add("--headroom", type=float, metavar="SHARE", help="of each device's free memory, left alone (default: 0.1)")
    add(
        "-c",
        "--ctx-size",
        type=int,
        metavar="N",
        help="tokens per slot, prompt and answer; 0: the model's (default: up to 4096)",
    )
    add(
        "-np",
        "--parallel",
        type=int,
        metavar="N",
        help="slots: sequences computed at once; -1: the default (default: 8)",
    )
    add(
        "-t",
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads per stage; -1: the default (default: cores / stages)",
    )
    add("-ub", "--ubatch-size", type=int, metavar="N", help="most rows of one microbatch (default: 512)")
    add("-b", "--batch-size", type=int, metavar="N", help="the same bound, under llama-server's other name")
    add("-ctk", "--cache-type-k", metavar="TYPE", help="type of the K cache (default: f16)")
    add("-ctv", "--cache-type-v", metavar="TYPE", help="type of the V cache (default: f16)")
    add("-fa", "--flash-attn", nargs="?", const="on", metavar="on|off|auto", help="flash attention (default: auto)")
    add("-ngl", "--gpu-layers", "--n-gpu-layers", metavar="N", help="taken, and of no use: see --devices and --layers")
    add("-sm", "--split-mode", choices=("layer",), help="taken: layers are all that is split")
    for names in (("-cb", "--cont-batching"), ("--mmap",), ("--warmup",), ("--no-warmup",)):
        add(*names, action="store_true", help=argparse.SUPPRESS)  # as it is anyway, or of no consequence


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
    settings["model"] = _model(options)
    if options.devices is not None:
        given = [name.strip() for name in options.devices.split(",") if name.strip()]
        settings["devices"] = tuple("CPU" if name == "none" else name for name in given)
    if options.batch_size is not None and options.ubatch_size is None:
        settings["ubatch_size"] = min(options.batch_size, DEFAULT_UBATCH_SIZE)
    _check_gpu_layers(options.gpu_layers)
    return settings


def _model(options: argparse.Namespace) -> str | None:
    """The one model that was named, in whichever way."""
    named = {name: name for name in (options.model, options.model_flag, options.model_url) if name}
    if options.hf_repo:
        named[f"-hf {options.hf_repo}"] = HUB_PREFIX + options.hf_repo.removeprefix(HUB_PREFIX)
    if options.demo:
        named["--demo"] = ""
    if len(named) > 1:
        first, second, *_ = named
        raise UsageError(f"model: both {first} and {second}; name one of them")
    if options.demo:
        from cluster.demo import model_path

        return str(model_path())
    return next(iter(named.values()), None)


def _check_gpu_layers(given: str | None) -> None:
    """Stages are what layers are given to here; what asks for something else than that is refused."""
    if given is None:
        return
    if given not in ("auto", "all") and not re.fullmatch(r"-?[0-9]{1,9}", given):
        raise UsageError(f"-ngl: {given!a} is no number of layers; leave it out, and see --devices and --layers")
    if given == "0":
        raise UsageError("-ngl: 0 would leave the GPUs out; say so with --devices CPU")
    print("note: -ngl has no effect: each stage has its layers on its own device; see --devices", file=sys.stderr)
