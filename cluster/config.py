"""The settings of a cluster: one frozen record, checked once, from defaults, a TOML file and flags."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cluster.api.errors import ClusterError, UsageError
from cluster.api.lists import MAX_ADAPTERS
from cluster.api.nearest import did_you_mean
from cluster.duration import seconds
from cluster.http_config import HttpConfig, key_digests
from cluster.node.port_plan import DEFAULT_FIRST, NUM_PORTS
from cluster.setting import Duration, Share, Whole, settings_of
from cluster.sources.companion import AUTO
from cluster.sources.name import is_remote_name, parse_adapter
from cluster.split import parse_layers, parse_tensor_split

DRAFTS = ("auto", "ngram", "off")
# What llama-server takes for these, as --spec-type.
_DRAFT_ALIASES = {"none": "off", "ngram-simple": "ngram"}
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
# What llama-server takes for these, and what TOML has for them.
_FLASH_ATTN_ALIASES = {
    **dict.fromkeys(("true", "enabled", "1"), "on"),
    **dict.fromkeys(("false", "disabled", "0"), "off"),
    "-1": "auto",
}
# The settings that say where the layers are. Whoever gives one of them means all: the others are the planner's.
LAYOUT: Mapping[str, Any] = {"stages": None, "layers": None, "tensor_split": None, "devices": ()}
MAX_STAGES = 256
MAX_NODES = 256
DEFAULT_PARALLEL = 8
DEFAULT_UBATCH_SIZE = 512
MAX_SLOTS = 256
# Where lost stages are repaired, requests wait for that. By reasoning: a repair takes some seconds, and as long as
# loading the slice does.
WATCHED_PATIENCE = "1m"


@dataclass(frozen=True, slots=True)
class ClusterConfig(HttpConfig):
    """What `cluster up` builds. Keys of the TOML file are these names, and so are the flags.

    A new setting is one line here: what it may be is in its type, and files and flags go by that.
    """

    model: str  # path of a GGUF file, hf:org/repo:Q4_K_M, or a URL
    stages: Annotated[int | None, Whole(1, MAX_STAGES)] = None  # None: one per device, two on a lone CPU
    devices: tuple[str, ...] = ()  # ggml device names, one per stage; () lets the planner choose
    layers: str | None = None  # layers of each stage, as 0-11,12-23; None lets the planner choose
    tensor_split: str | None = None  # or each stage's share of the layers, as 3,1
    allow_rounding: bool = False  # the model may be cut where slices round otherwise than the whole of it
    headroom: Annotated[float, Share()] = 0.1  # share of each device's free memory that is left alone
    # Tokens per slot, at least one of a prompt and one of an answer. None: the model's, at most 4096; 0: the model's.
    ctx_size: Annotated[int | None, Whole(2, 2**24, also=(0,))] = None
    # Slots: sequences computed at the same time; -1: as many as by default.
    parallel: Annotated[int, Whole(1, MAX_SLOTS)] = DEFAULT_PARALLEL
    # Per CPU stage. None (or 0, or -1): the node's cores divided among its stages.
    threads: Annotated[int | None, Whole(1, 1024)] = None
    ubatch_size: Annotated[int, Whole(1, 8192)] = DEFAULT_UBATCH_SIZE  # most rows of one microbatch
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    flash_attn: Literal["auto", "on", "off"] = "auto"
    lora: tuple[str, ...] = ()  # files of LoRA adapters that are added to the model, each as FILE or FILE:SCALE
    # The file (mmproj) that makes rows of pictures, on the machine where the cluster is started: a path by the time
    # that something is planned, which `local_projector` sees to. None: only texts.
    mmproj: str | None = None
    pipeline_prompts: bool = True  # several chunks of prompts in flight at once
    lend_cores: bool = True  # a CPU stage that computes alone uses the cores of the others on its host
    # How tokens are guessed ahead, for the stages to check several in one step. ngram: as the text went on where it
    # last said the same; auto: that, while few streams decode and the model's caches can go back. Else the name of a
    # small model with the same vocabulary, as `model` is named.
    draft: str = "off"
    # Steps with guesses of one text that may be under way at a time, each as if those before it were right: 1 is none
    # but the first. 0: as many as pay, one for each stage and one that waits at most.
    draft_runs: Annotated[int, Whole(1, 256, also=(0,))] = 0
    draft_device: str = "CPU"  # ggml device of that model, on the machine where the cluster is started
    max_waiting: Annotated[int, Whole(0, 100_000)] = 256  # requests that may wait for a slot
    host: str = "127.0.0.1"  # where the inference server listens
    port: Annotated[int, Whole(0, 65535)] = 0  # 0 takes a free one
    address: str | None = None  # Ray cluster to attach to; None starts a local one
    nodes: Annotated[int, Whole(1, MAX_NODES)] = 1  # machines, this one among them; `up` waits for the others to join
    wait: Annotated[str, Duration()] = "10m"  # for so long
    repair: bool = True  # a process stays beside the cluster, and repairs what dies
    # Requests are held for so long while a stage is away, and go on when it is back. None: 1m where somebody repairs
    # it, else not at all.
    patience: Annotated[str | None, Duration()] = None
    # How long requests may take to end, where a cluster in the foreground is told to stop. Kubernetes waits for 30 s.
    drain: Annotated[str, Duration()] = "20s"
    # MiB that each stage may keep of what it passed on, for a next stage that dies to go on from; 0: nothing is kept,
    # and a stage that dies has all stages compute again. By reasoning: eight texts of 4,096 tokens of a small model.
    replay_ram: Annotated[int, Whole(0, 2**20)] = 256
    local_sockets: bool = True  # stages of one machine pass rows through Unix sockets; else through gRPC, as to others
    journal: bool = True  # requests for texts are written down, and survive the coordinator
    advertise_address: str | None = None  # of this machine, to the others: an address, a name or an interface
    node_name: str | None = None  # of this machine; None: its host name
    first_port: Annotated[int, Whole(1024, 65535 - NUM_PORTS)] = DEFAULT_FIRST  # of the range that every node uses
    insecure: bool = False  # between machines, nothing is encrypted
    client_secret_file: str | None = None  # what clients are asked for; None: a new secret with each start

    def __post_init__(self) -> None:
        self._take_aliases()
        for name, setting in settings_of(type(self)).items():
            setting.check(getattr(self, name))
        if self.host not in ("127.0.0.1", "localhost", "::1"):
            raise UsageError(
                f"host: {self.host!r} is not this machine's loopback; to serve others, give --advertise-address"
            )
        if self.insecure and not self.is_shared and self.address is None:
            raise UsageError("insecure: nothing leaves this machine; leave it out, or give --nodes")
        if self.address is not None and self.nodes > 1:
            raise UsageError("nodes: those of the Ray cluster at --address are all there are; leave --nodes out")
        self.check_http()
        check_draft(self.draft)
        self._check_stages()
        self._check_adapters()

    def _take_aliases(self) -> None:
        """What llama-server's users write for a default, or with another word."""
        if self.parallel == -1:
            object.__setattr__(self, "parallel", DEFAULT_PARALLEL)
        if self.threads in (0, -1) and not isinstance(self.threads, bool):
            object.__setattr__(self, "threads", None)
        flash_attn = str(self.flash_attn).lower()
        object.__setattr__(self, "flash_attn", _FLASH_ATTN_ALIASES.get(flash_attn, flash_attn))
        object.__setattr__(self, "draft", _DRAFT_ALIASES.get(str(self.draft), self.draft))
        for name in ("cache_type_k", "cache_type_v"):
            object.__setattr__(self, name, str(getattr(self, name)).lower())

    @property
    def draft_model(self) -> str | None:
        """The name of the model that guesses tokens ahead; None where none does."""
        return None if self.draft in DRAFTS else self.draft

    @property
    def layer_ranges(self) -> tuple[tuple[int, int], ...]:
        """[first, end) of each stage as `layers` says; () where the planner chooses."""
        return parse_layers(self.layers) if self.layers is not None else ()

    @property
    def layer_shares(self) -> tuple[float, ...]:
        """Each stage's share as `tensor_split` says; ()."""
        return parse_tensor_split(self.tensor_split) if self.tensor_split is not None else ()

    @property
    def is_shared(self) -> bool:
        """Whether other machines reach this one: as nodes, or as clients."""
        return self.nodes > 1 or self.advertise_address is not None

    @property
    def wait_s(self) -> int:
        """How long `up` waits for nodes, in seconds."""
        return seconds("wait", self.wait)

    @property
    def patience_s(self) -> int:
        """For how many seconds requests are held while a stage is away."""
        if self.patience is None:
            return seconds("patience", WATCHED_PATIENCE) if self.repair else 0
        return seconds("patience", self.patience)

    @property
    def num_stages(self) -> int | None:
        """How many stages are asked for, by whichever setting; None where the planner chooses."""
        return self.stages or len(self.layer_ranges) or len(self.layer_shares) or len(self.devices) or None

    def _check_stages(self) -> None:
        """All settings that imply a number of stages agree."""
        if self.layers is not None and self.tensor_split is not None:
            raise UsageError("tensor-split: layers say already where to cut; give one of the two")
        for name, parts in (
            ("devices", self.devices),
            ("layers", self.layer_ranges),
            ("tensor-split", self.layer_shares),
        ):
            if parts and len(parts) != self.num_stages:
                raise UsageError(f"{name}: {len(parts)} of them for {self.num_stages} stages; give one per stage")

    def _check_adapters(self) -> None:
        """What can be said of them without the model."""
        if len(self.lora) > MAX_ADAPTERS:
            raise UsageError(f"lora: {len(self.lora)} adapters; give at most {MAX_ADAPTERS}")
        for text in self.lora:
            parse_adapter(text)


def load_config(path: str | None, flags: dict[str, Any]) -> ClusterConfig:
    """Defaults, then the TOML file at `path`, then `flags` (those that are not None). UsageError if unsound."""
    settings = _read_toml(Path(path)) if path else {}
    settings.update({key: value for key, value in flags.items() if value is not None})
    if not settings.get("model"):
        raise UsageError(
            "model: none given; name a GGUF file, hf:org/repo:Q4_K_M or a URL, "
            "or use --demo for the model that ships along"
        )
    if not is_remote_name(settings["model"]):
        settings["model"] = _absolute("model", settings["model"])
    draft = settings.get("draft")
    if isinstance(draft, str) and draft not in (*DRAFTS, *_DRAFT_ALIASES) and not is_remote_name(draft):
        check_draft(draft)  # what is no path would look like one
        take_paths(settings, ("draft",))
    take_paths(settings, ("client_secret_file",))
    if (mmproj := settings.get("mmproj")) != AUTO and not is_remote_name(mmproj or ""):
        take_paths(settings, ("mmproj",))
    take_http(settings)
    if isinstance(given := settings.get("lora"), tuple):
        settings["lora"] = tuple(map(_absolute_adapter, given))
    return ClusterConfig(**settings)


def check_draft(draft: str) -> None:
    """UsageError unless it is a way to draft, or may name a model."""
    is_model = is_remote_name(draft) or "/" in draft or draft.endswith(".gguf")
    if draft not in DRAFTS and not is_model:
        raise UsageError(
            f"draft: {draft!r} is not known; choose one of {', '.join(DRAFTS)}, or name a small model with the same "
            "vocabulary: FILE.gguf or hf:org/repo:Q4_K_M"
        )


def take_http(settings: dict[str, Any]) -> None:
    """The settings of the HTTP server as a process with another folder takes them. UsageError for keys and files."""
    settings["api_key"] = key_digests(settings.get("api_key") or ())
    take_paths(settings, ("page_folder", "ssl_cert_file", "ssl_key_file"))
    template = settings.get("chat_template")
    if template and ("/" in template or template.endswith(".jinja")):
        take_paths(settings, ("chat_template",))


def take_paths(settings: dict[str, Any], keys: Iterable[str]) -> None:
    """Of those that are given: absolute."""
    for key in keys:
        if settings.get(key):
            settings[key] = _absolute(key.replace("_", "-"), settings[key])


def _absolute(key: str, path: str) -> str:
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as error:  # expanduser raises it
        raise UsageError(f"{key}: {path}: no such home folder; give the path of a file") from error


def _absolute_adapter(text: str) -> str:
    path, scale = parse_adapter(text)
    return f"{_absolute('lora', path)}:{scale!r}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; give --config a readable TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML ({error}); see the README for an example") from error
    settings: dict[str, Any] = {}
    for key, value in raw.items():
        settings[_known_key(path, key)] = tuple(value) if isinstance(value, list) else value
    for key, value in settings.items():
        if not settings_of(ClusterConfig)[key].is_typed(value):
            raise UsageError(f"{path}: {key}: {value!r} is of the wrong type; see the README for an example")
    return settings


def _known_key(path: Path, key: str) -> str:
    known = settings_of(ClusterConfig)
    name = key.replace("-", "_")
    if name in known:
        return name
    hint = did_you_mean(name, known, f"known keys: {', '.join(known)}", shown=repr)
    raise UsageError(f"{path}: unknown key {key!r}; {hint}")


def config_of(remembered: Mapping[str, Any]) -> ClusterConfig:
    """The settings of the cluster that is up, from its state. ClusterError where another version wrote them."""
    try:
        lists = {key: tuple(value) for key, value in remembered.items() if isinstance(value, list)}
        return ClusterConfig(**{**remembered, **lists})
    except (TypeError, KeyError) as error:
        raise ClusterError("up: the cluster that is up was started by another version; run cluster down") from error


def record_of(config: ClusterConfig) -> dict[str, Any]:
    """The settings as the state remembers them: as JSON gives them back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}
