"""What the coordinator is told. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.embedding import Pooling
from cluster.api.model import AdapterInfo
from cluster.api.status import StageFacts
from cluster.messages.stage import PROTOCOL_VERSION, Hello, StageAddress, StageCosts
from cluster.node.ray_health import RayProcess
from cluster.sources.source import ModelSource

# Of one call of the model that drafts, as it reads a prompt: what takes longer keeps nobody waiting. Its memory is
# planned for as many.
DRAFT_ROWS = 512


@dataclass(frozen=True, slots=True)
class DraftModel:
    """A small model that guesses tokens ahead, in a process beside the coordinator. Set by the planner."""

    source: ModelSource
    model_hash: str
    num_layers: int
    device: str  # ggml's name of it, on the coordinator's node
    num_threads: int
    context_length: int  # tokens of a text; behind them, nothing is guessed
    num_slots: int  # texts that it follows at a time
    use_extra_bufts: bool  # as `worker_native.Slice` takes it

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.source.display_name} on {self.device}"


@dataclass(frozen=True, slots=True)
class CoordinatorSpec:
    """Set by whoever brings the cluster up."""

    model: str  # name to show
    source: ModelSource  # for its vocabulary
    model_hash: str
    architecture: str
    context_length: int  # tokens per slot
    num_slots: int
    num_stages: int
    ubatch_size: int  # most rows of one microbatch
    max_waiting: int
    pipeline_prompts: bool  # several chunks of prompts may be in flight at once
    host: str
    port: int
    ray_processes: tuple[RayProcess, ...] = ()  # on the coordinator's machine; a repair needs them
    can_truncate: bool = True  # the model keeps keys and values only, no running states
    row_bytes: int = 0  # what a row carries from stage to stage
    plan: str = ""  # why the layers are where they are: sentences, one a line
    pooling: Pooling | None = None  # how the model makes one vector of a text; None: it was not made for that
    embeds: bool = False  # texts are embedded all the same
    local_sockets: bool = True  # to stages on the same machine
    patience_s: float = 0.0  # requests are held for so long while a stage is away
    keeps_requests: bool = False  # in a journal, for the coordinator after this one
    draft: str = "off"  # how tokens are guessed ahead: auto, ngram, model or off
    draft_runs: int = 0  # steps with guesses of one text under way at a time, at most; 0: as many as pay
    draft_model: DraftModel | None = None  # that of "model"
    is_encoder: bool = False  # it reads a text whole, in one microbatch, and makes none
    decoder_start: int | None = None  # what parts a prompt's text for the encoder from the decoder's; None: no encoder
    num_parameters: int = 0
    weight_bytes: int = 0  # of all tensors
    adapters: tuple[AdapterInfo, ...] = ()
    mmproj: str | None = None  # path, on the coordinator's node, of the file that makes rows of pictures


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """The same, of a program."""

    model: str  # name to show
    source: ModelSource  # for its graph
    model_hash: str
    architecture: str
    num_stages: int
    max_waiting: int
    host: str
    port: int
    ray_processes: tuple[RayProcess, ...] = ()  # on the coordinator's machine; a repair needs them
    local_sockets: bool = True  # to stages on the same machine
    patience_s: float = 0.0  # calls are held for so long while a stage is away
    row_bytes: int = 0  # the most that a call takes from stage to stage, for the example's shapes
    plan: str = ""  # why the units are where they are: sentences, one a line
    num_parameters: int = 0
    weight_bytes: int = 0  # of all tensors


AnySpec = CoordinatorSpec | ProgramSpec


def journal_identity(spec: CoordinatorSpec) -> str:
    """Requests of a coordinator with another one cannot be gone on with: their tokens mean something else."""
    adapters = " ".join(adapter.name for adapter in spec.adapters)
    return f"{PROTOCOL_VERSION} {spec.model_hash} {spec.context_length} {adapters}"


@dataclass(frozen=True, slots=True)
class StageEndpoint:
    """Where a stage listens in this epoch, and what it is."""

    address: str
    hello: Hello
    facts: StageFacts  # the node that it is on, too
    costs: StageCosts

    @property
    def place(self) -> StageAddress:
        return StageAddress(self.address, self.hello, self.facts.node)
