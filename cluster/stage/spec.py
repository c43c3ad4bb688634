"""What a stage is told to be, and what it says of itself. Plain data: no native code, no Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cluster.api.status import StageFacts
from cluster.messages.stage import ARRAYS, F32, PROTOCOL_VERSION, Hello, StageCosts
from cluster.sources.source import AdapterSource, ModelSource

# Called with the phase of loading, and how much of it is done, 0..1.
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class GgufOptions:
    """How layers of a GGUF are computed. Which record of options a spec has says which kind of model it is."""

    type_k: str  # element types of the KV cache
    type_v: str
    flash_attn: Literal["auto", "on", "off"]
    embeds: bool = False  # texts are embedded, also with a model that was not made for it
    adapters: tuple[AdapterSource, ...] = ()  # that are added to the weights


@dataclass(frozen=True, slots=True)
class ProgramOptions:
    """How units of a program are computed."""

    call_bytes: int  # most that one call may take on the stage, beside the weights


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How units of a program that makes text are computed: what its inputs are, and what it gives."""

    tokens: str  # the input that takes token ids
    positions: tuple[str, ...]  # inputs that take where these stand
    symbols: tuple[Literal["batch", "count"], ...]  # what each extent is that a call brings
    most_tokens: int  # of one call
    context_length: int  # that the buffers hold; 0 where they do not tell
    row_width: int  # floats of a token on its way from stage to stage
    vocab_size: int
    last_logits_only: bool  # those of the last token of a call
    can_truncate: bool  # a text may be cut short


Options = GgufOptions | ProgramOptions | TextOptions


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage of a plan. Set by whoever brings the cluster up."""

    stage: int
    num_stages: int
    node: str  # where it runs: a node of the plan, by name
    source: ModelSource  # each node opens it for itself
    model_hash: str
    first: int  # layers [first, end) of the whole model
    end: int
    device: str  # ggml device name
    context_length: int  # tokens per slot
    num_slots: int
    ubatch_size: int  # most rows of one microbatch
    num_threads: int
    num_threads_exclusive: int  # while no other stage computes
    first_core: int | None  # its threads are bound to this one of the host's cores and those that follow; None: not
    options: Options
    local_sockets: bool = True  # to neighbours on the same machine
    keep_bytes: int = 0  # most that it keeps of the hidden rows that it passed on, for a next stage that begins anew

    @property
    def gguf(self) -> GgufOptions:
        """Where layers of a GGUF are computed: how."""
        assert isinstance(self.options, GgufOptions), "a program has no layers of a GGUF"
        return self.options


@dataclass(frozen=True, slots=True)
class LoadedStage:
    """A stage that has its weights. Set by the stage."""

    facts: StageFacts
    build: str  # names the library that computes it
    hidden_width: int
    costs: StageCosts
    picture_width: int = 0  # as in Hello


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far a stage is. `loaded` is set when it is ready, `error` when it never will be."""

    phase: str  # "waiting", "checking", "cutting" or "fetching", "loading", "measuring", "ready", "failed"
    fraction: float  # 0..1 of this phase
    loaded: LoadedStage | None = None
    error: Exception | None = None


def spec_record(spec: StageSpec) -> dict[str, Any]:
    """All but its source, as JSON gives it to a process of ours."""
    record = asdict(spec)
    del record["source"]
    if "adapters" in record["options"]:
        record["options"]["adapters"] = list(record["options"]["adapters"])
    return record


def spec_of_record(record: dict[str, Any], source: ModelSource) -> StageSpec:
    """What `spec_record` was made of."""
    given = record["options"]
    options: Options
    if "adapters" in given:
        options = GgufOptions(**{**given, "adapters": tuple([AdapterSource(**one) for one in given["adapters"]])})
    elif "symbols" in given:
        options = TextOptions(**{**given, "positions": tuple(given["positions"]), "symbols": tuple(given["symbols"])})
    else:
        options = ProgramOptions(**given)
    return StageSpec(**{**record, "options": options}, source=source)


def hello_of(spec: StageSpec, loaded: LoadedStage, epoch: int) -> Hello:
    """What a stage that is loaded expects to be greeted with in this epoch."""
    return Hello(
        protocol_version=PROTOCOL_VERSION,
        model_hash=spec.model_hash,
        build=loaded.build,
        epoch=epoch,
        stage=spec.stage,
        num_stages=spec.num_stages,
        first=spec.first,
        end=spec.end,
        hidden_width=loaded.hidden_width,
        wire_dtype=ARRAYS if isinstance(spec.options, ProgramOptions) else F32,
        num_slots=spec.num_slots,
        context_length=spec.context_length,
        picture_width=loaded.picture_width,
    )
