"""What `cluster status` shows of a cluster and of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """How well something is."""

    READY = "ready"
    DEGRADED = "degraded"  # a cluster that does not serve, or cannot be repaired
    RECOVERING = "recovering"  # a cluster whose requests wait for what is lost
    LOST = "lost"  # a stage that does not compute


@dataclass(frozen=True, slots=True)
class Health:
    """A condition, and why it is that one. Reads "ready", or "lost: reason"."""

    condition: Condition = Condition.READY
    reason: str = ""  # empty when ready

    @property
    def is_ready(self) -> bool:
        return self.condition is Condition.READY

    def __str__(self) -> str:
        return f"{self.condition}: {self.reason}" if self.reason else str(self.condition)


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What a stage says about itself when asked. Set by the stage."""

    stage: int
    node: str
    device: str
    first: int  # layers [first, end)
    end: int
    health: Health
    pid: int
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class StageActivity:
    """What one stage did of late. Set by the engine from the timings of the stage."""

    busy_fraction: float = 0.0  # share of the last window that the stage computed, 0..1
    step_ms: float = 0.0  # median compute time of a step in that window; 0 when idle
    num_steps: int = 0  # since the start
    num_rows: int = 0  # computed since the start
    busy_s: float = 0.0  # computed since the start
    wait_ms: float = 0.0  # median time in that window from a step's arrival to its beginning; 0 when idle
    hop_ms: float = 0.0  # median time to here from the stage before; of the first stage the way back; 0 if not known


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A row of `cluster status`. Set by the coordinator. Whatever it is made of can be read from the row itself."""

    facts: StageFacts
    activity: StageActivity
    address: str

    @property
    def stage(self) -> int:
        return self.facts.stage

    @property
    def node(self) -> str:
        return self.facts.node

    @property
    def device(self) -> str:
        return self.facts.device

    @property
    def first(self) -> int:
        """The stage has layers [first, end)."""
        return self.facts.first

    @property
    def end(self) -> int:
        return self.facts.end

    @property
    def state(self) -> str:
        """Text: "ready" or "lost: reason"."""
        return str(self.facts.health)

    @property
    def pid(self) -> int:
        return self.facts.pid

    @property
    def weight_bytes(self) -> int:
        return self.facts.weight_bytes

    @property
    def kv_bytes(self) -> int:
        return self.facts.kv_bytes

    @property
    def compute_bytes(self) -> int:
        return self.facts.compute_bytes

    @property
    def rss_bytes(self) -> int:
        """Memory of the process; 0 if the stage did not answer."""
        return self.facts.rss_bytes

    @property
    def busy_fraction(self) -> float:
        return self.activity.busy_fraction

    @property
    def step_ms(self) -> float:
        return self.activity.step_ms

    @property
    def num_steps(self) -> int:
        return self.activity.num_steps

    @property
    def num_rows(self) -> int:
        return self.activity.num_rows

    @property
    def busy_s(self) -> float:
        return self.activity.busy_s

    @property
    def wait_ms(self) -> float:
        return self.activity.wait_ms

    @property
    def hop_ms(self) -> float:
        return self.activity.hop_ms


class SlotState(StrEnum):
    """What a slot is used for."""

    IDLE = "idle"
    PROMPT = "prompt"  # a prompt is read
    GENERATING = "generating"


@dataclass(frozen=True, slots=True)
class SlotStatus:
    """One sequence that is under way, or place for one. Set by the engine; it tells nothing of any text."""

    id: int
    state: SlotState = SlotState.IDLE
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0  # leading ones of the prompt whose KV was already there
    num_computed: int = 0  # leading tokens that are done, the cached ones among them
    num_generated: int = 0
    age_s: float = 0.0  # since the request came


class Protection(StrEnum):
    """How what a cluster's processes tell each other, and its clients, is kept from others."""

    LOOPBACK = "loopback"  # it does not leave the machine
    TLS = "TLS"
    NONE = "not encrypted"  # started with --insecure


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What `cluster status` shows. Set by the coordinator."""

    model: str
    model_hash: str
    architecture: str
    health: Health
    address: str
    epoch: int
    context_length: int
    num_slots: int
    num_slots_used: int
    num_waiting: int
    num_requests: int  # served since the start
    num_tokens: int  # generated since the start
    uptime_s: float
    vocab_size: int
    stages: tuple[StageStatus, ...] = ()
    protection: Protection = Protection.LOOPBACK
    row_bytes: int = 0  # what a row carries from stage to stage
    plan: str = ""  # why the layers are where they are: sentences, one a line
    num_recoveries: int = 0  # times that stages were lost and came back, since the start
    lost_s: float = 0.0  # time in which some were lost, in all
    num_replayed: int = 0  # tokens that were computed again for it
    draft: str = ""  # how tokens are guessed ahead, or why not
    num_drafted: int = 0  # guesses since the start
    num_accepted: int = 0  # those of them that were right
    num_dropped_runs: int = 0  # steps of guesses behind one that was wrong: nothing came of them

    @property
    def is_program(self) -> bool:
        """Whether it takes and gives arrays, not text."""
        return self.vocab_size == 0

    @property
    def state(self) -> str:
        """Text: "ready", "recovering: reason" or "degraded: reason"."""
        return str(self.health)
