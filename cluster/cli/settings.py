"""The flags that are settings of a cluster, for every verb that plans one."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cluster.api.errors import UsageError
from cluster.cli.spelling import Spelling, add_flag
from cluster.config import DEFAULT_UBATCH_SIZE, LAYOUT, ClusterConfig
from cluster.http_config import OFF, HttpConfig
from cluster.setting import Setting, settings_of
from cluster.sources.name import HUB_PREFIX

HTTP_SETTINGS = tuple(settings_of(HttpConfig))
# What only a cluster that is started has; all other settings are those of a plan.
UP_SETTINGS = (
    "lora",
    "mmproj",
    "pipeline_prompts",
    "lend_cores",
    "draft",
    "draft_runs",
    "draft_device",
    "max_waiting",
    "host",
    "port",
    "address",
    "client_secret_file",
    "nodes",
    "wait",
    "repair",
    "patience",
    "replay_ram",
    "local_sockets",
    "journal",
    "drain",
    "advertise_address",
    "node_name",
    "first_port",
    "insecure",
    *HTTP_SETTINGS,
)
PLAN_SETTINGS = tuple(name for name in settings_of(ClusterConfig) if name not in UP_SETTINGS)

_MANY = {"action": "append"}
_SPELLINGS = {
    "stages": Spelling((), "auto|N", "how many slices (default auto: one per GPU, else per node; two on a lone CPU)"),
    "devices": Spelling(
        ("-dev", "--devices", "--device"),
        "A,B,...",
        "ggml device of each stage, e.g. CPU,CUDA0 or one:CUDA0,two:CUDA0; none: CPU (see up --list-devices)",
    ),
    "layers": Spelling((), "0-11,12-23", "layers of each stage, both ends included (default: searched)"),
    "tensor_split": Spelling(("-ts", "--tensor-split"), "3,1", "or each stage's share of the layers"),
    "allow_rounding": Spelling((), None, "cut the model also where its slices round otherwise than the whole of it"),
    "headroom": Spelling((), "SHARE", "of each device's free memory, left alone"),
    "ctx_size": Spelling(
        ("-c", "--ctx-size"), "N", "tokens per slot, prompt and answer; 0: the model's (default: up to 4096)"
    ),
    "parallel": Spelling(("-np", "--parallel"), "N", "slots: sequences computed at once; -1: the default"),
    "threads": Spelling(("-t", "--threads"), "N", "CPU threads per stage; -1: the default (default: cores / stages)"),
    "ubatch_size": Spelling(("-ub", "--ubatch-size"), "N", "most rows of one microbatch"),
    "cache_type_k": Spelling(("-ctk", "--cache-type-k"), "TYPE", "type of the K cache"),
    "cache_type_v": Spelling(("-ctv", "--cache-type-v"), "TYPE", "type of the V cache"),
    "flash_attn": Spelling(("-fa", "--flash-attn"), "on|off|auto", "flash attention", {"nargs": "?", "const": "on"}),
    "lora": Spelling(
        ("--lora", "--lora-scaled"),
        "FILE[:SCALE]",
        "a LoRA adapter (GGUF) that is added to the model; repeat it for more",
        _MANY,
    ),
    "mmproj": Spelling(
        ("-mm", "--mmproj"),
        "FILE",
        "the file of the model (GGUF) that reads pictures in prompts, hf:org/repo:file.gguf, or auto: the one beside "
        "the model on the hub; without it, only texts",
    ),
    "pipeline_prompts": Spelling((), None, "compute several chunks of a prompt at once, each on another stage"),
    "lend_cores": Spelling((), None, "let a CPU stage that computes alone use the cores of its neighbours"),
    "draft": Spelling(
        ("--draft", "--spec-type", "-md", "--model-draft", "--spec-draft-model"),
        "auto|ngram|off|MODEL",
        "guess tokens ahead from what the text said before; auto: while one or two streams decode. Or by a small model "
        "with the same vocabulary, named as MODEL is",
    ),
    "draft_runs": Spelling(
        (),
        "N",
        "steps with guesses that a lone stream has under way at once, each as if those before were right; 1: the next "
        "waits for the answer; 0: as many as pay",
    ),
    "draft_device": Spelling(
        ("-devd", "--draft-device", "--device-draft", "--spec-draft-device"),
        "NAME",
        "ggml device of the model that guesses, on this machine; none: CPU",
    ),
    "max_waiting": Spelling((), "N", "requests that may wait for a slot"),
    "host": Spelling((), None, "address of the loopback to listen on; for other machines: --advertise-address"),
    "port": Spelling((), None, "port to listen on (default: a free one)"),
    "address": Spelling((), "RAY", "attach to this Ray cluster (host:port, or auto) instead of a local one"),
    "nodes": Spelling((), "N", "machines to serve it on, this one among them: wait until they have joined"),
    "wait": Spelling((), "TIME", "for so long, such as 5m"),
    "repair": Spelling((), None, "keep a process beside the cluster that starts anew whatever of it dies"),
    "patience": Spelling(
        (), "TIME", "requests wait so long for a stage that is lost, and go on when it is back (with --repair: 1m)"
    ),
    "replay_ram": Spelling(
        (), "MiB", "rows that each stage keeps, for the next one to go on from if that dies; 0: none"
    ),
    "local_sockets": Spelling((), None, "between processes of one machine: Unix sockets, in place of gRPC"),
    "journal": Spelling((), None, "write requests down, so that they survive the coordinator's death"),
    "drain": Spelling((), "TIME", "with --foreground, on SIGTERM: running requests have so long to end"),
    "advertise_address": Spelling(
        (), "A", "address, name or interface by which other machines reach this one (default: the only one)"
    ),
    "node_name": Spelling((), "NAME", "name of this machine in the cluster (default: its host name)"),
    "first_port": Spelling((), "N", "first of the range of ports that each machine of the cluster uses"),
    "insecure": Spelling((), None, "encrypt nothing between the machines"),
    "client_secret_file": Spelling(
        (), "FILE", "ask clients for the secret in this file, in place of a new one with each start"
    ),
    "http": Spelling(
        (),
        "HOST:PORT",
        "where the HTTP server listens: HOST:PORT, PORT, off or auto (default: 127.0.0.1:8000, or the next free port)",
    ),
    "api_key": Spelling(
        (), "KEY|@FILE", "a key that HTTP clients must show, or a file with one in a line; repeat it for more", _MANY
    ),
    "alias": Spelling(("-a", "--alias"), "NAME", "name of the model in HTTP answers; repeat it for more", _MANY),
    "chat_template": Spelling(
        ("--chat-template", "--chat-template-file"),
        "FILE|NAME",
        "in place of the model's own: a jinja file, or a name such as chatml",
    ),
    "input_marking": Spelling((), None, "keep names of control tokens in messages from becoming these tokens"),
    "cors": Spelling((), "ORIGIN", "web pages of this origin may ask, * is any; repeat it for more", _MANY),
    "metrics": Spelling((), None, "answer /metrics, for Prometheus"),
    "metrics_aliases": Spelling((), None, "with llama.cpp's names for them, too"),
    "embeddings": Spelling(
        ("--embeddings", "--embedding"), None, "answer /v1/embeddings with a model that was not made for it"
    ),
    "strict_model": Spelling((), None, "refuse requests for a model of another name"),
    "fetch_pictures": Spelling((), None, "fetch pictures that messages name by URLs, from public hosts"),
    "always_include_usage": Spelling((), None, "end streams with the numbers of tokens where nobody asked for them"),
    "log_requests": Spelling((), None, "write what people send into the log"),
    "page": Spelling((), None, "serve the page to chat and to watch"),
    "page_folder": Spelling(("--path", "--page-folder"), "FOLDER", "of another page than the one that ships"),
    "ssl_cert_file": Spelling((), "FILE", "certificate of the HTTP server, for https"),
    "ssl_key_file": Spelling((), "FILE", "and its key"),
}


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
    add_setting_flags(parser, (name for name in PLAN_SETTINGS if name != "model"))
    add("-b", "--batch-size", type=int, metavar="N", help="the bound of --ubatch-size, under llama-server's other name")
    add("-ngl", "--gpu-layers", "--n-gpu-layers", metavar="N", help="taken, and of no use: see --devices and --layers")
    add("-sm", "--split-mode", choices=("layer",), help="taken: layers are all that is split")
    for names in (("-cb", "--cont-batching"), ("--mmap",), ("--warmup",), ("--no-warmup",)):
        add(*names, action="store_true", help=argparse.SUPPRESS)  # as it is anyway, or of no consequence


def add_setting_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """A flag for each of these settings: what it takes is what the setting is."""
    for name in names:
        setting = settings_of(ClusterConfig)[name]
        spelling = _SPELLINGS.get(name) or Spelling(help=str(setting.bounds or ", ".join(setting.choices)))
        add_flag(parser, name, spelling, _default(setting), **_kind(setting))
        if name == "http":
            parser.add_argument("--no-http", dest=name, action="store_const", const=OFF, help="the same as --http off")


def _kind(setting: Setting) -> dict[str, Any]:
    """What argparse needs to know."""
    if setting.name == "stages":
        return {"type": num_stages}
    if setting.kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": setting.kind} if setting.kind in (int, float) else {}


def _default(setting: Setting) -> str:
    """For people; of a setting without one, or with none that says anything, ""."""
    if setting.default is None or setting.kind is tuple:
        return ""
    return {True: "yes", False: "no"}[setting.default] if setting.kind is bool else str(setting.default)


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
    settings = {name: _as_setting(getattr(options, name)) for name in names}
    settings["model"] = _model(options)
    settings["devices"] = _devices(options)
    if settings.get("draft_device") == "none":
        settings["draft_device"] = "CPU"
    if options.batch_size is not None and options.ubatch_size is None:
        settings["ubatch_size"] = min(options.batch_size, DEFAULT_UBATCH_SIZE)
    _check_gpu_layers(options.gpu_layers)
    return settings


def with_projector(config: ClusterConfig) -> ClusterConfig:
    """The same with its mmproj file on this machine. Errors as for `local_projector`."""
    if config.mmproj is None:
        return config
    from cluster.sources.companion import local_projector

    return replace(config, mmproj=local_projector(config.mmproj, config.model))


def given_layout(options: argparse.Namespace) -> dict[str, Any]:
    """Those of the settings that say where layers are which were given."""
    given = {name: _as_setting(getattr(options, name)) for name in LAYOUT} | {"devices": _devices(options)}
    return {name: value for name, value in given.items() if value is not None}


def given_http_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Those of the HTTP server that were given."""
    given = {name: _as_setting(getattr(options, name)) for name in HTTP_SETTINGS}
    return {name: value for name, value in given.items() if value is not None}


def _devices(options: argparse.Namespace) -> tuple[str, ...] | None:
    if options.devices is None:
        return None
    given = [name.strip() for name in options.devices.split(",") if name.strip()]
    return tuple("CPU" if name == "none" else name for name in given)


def _as_setting(value: Any) -> Any:
    """Of a flag that may be repeated."""
    return tuple(value) if isinstance(value, list) else value


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
