"""The messages that pass between coordinator, stages and clients; each says who fills its fields.

These are plain data. `cluster.wire` turns them into protobuf and back; nothing else crosses a process.
T is the number of rows of a microbatch, E the hidden width, V the vocabulary size, R the rows asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cluster.sampling import SamplingParams

PROTOCOL_VERSION = 4

# In place of a token id: what the slot draws in the step that this one follows (Microbatch.after).
DRAWN = -1
NO_STEP = -1

Int32Array = NDArray[np.int32]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, order=True)
class StepId:
    """Names one step of one microbatch. Set by the coordinator; every reply repeats it."""

    epoch: int  # grows by one whenever the stages are wired anew; older epochs are dropped
    microbatch: int  # lane of the pipeline, in [0, max microbatches in flight)
    step: int  # grows by one with every microbatch sent in this epoch


@dataclass(frozen=True, slots=True)
class SlotSampling:
    """Sampling parameters of a slot, sent once, with the first microbatch that draws from it."""

    slot: int
    params: SamplingParams  # params.seed is set: the coordinator has chosen one


@dataclass(frozen=True, slots=True)
class SlotStart:
    """Before the rows of its microbatch run, `slot` holds the first `length` tokens that `source` holds.

    With slot == source it keeps that much of what an earlier sequence left there. Set by the scheduler.
    """

    slot: int
    source: int
    length: int


@dataclass(frozen=True, slots=True)
class SlotFailure:
    """A stage can do nothing for one slot of a step; the others are computed as without it. Set by that stage."""

    slot: int
    kind: str  # name of the class in `cluster.errors` that the request ends with
    reason: str  # its message


@dataclass(frozen=True, slots=True)
class Microbatch:
    """Rows that go through all stages together; T >= 1. Set by the scheduler.

    Rows of one slot are consecutive and their positions grow by one.
    """

    id: StepId
    tokens: Int32Array  # [T] token ids; later stages need them for the repeat penalty. To the first stage: or DRAWN
    positions: Int32Array  # [T] position of each row in its sequence
    slots: Int32Array  # [T] KV sequence id of each row, the same number on every stage
    wants_logits: BoolArray  # [T] rows whose logits the last stage computes
    samples: Int32Array  # rows to draw a token from; a subset of wants_logits
    returns_logits: Int32Array  # rows whose full logits travel back; a subset of wants_logits
    new_sampling: tuple[SlotSampling, ...] = ()
    slot_starts: tuple[SlotStart, ...] = ()  # in order
    failures: tuple[SlotFailure, ...] = ()  # slots without rows from here on; set by the stages before
    alone: bool = False  # no other stage computes while one computes it: that one may use the cores of its host
    after: int = NO_STEP  # the first stage begins it once the last one has answered this step

    @property
    def num_rows(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True)
class SampledToken:
    """One drawn token. Set by the last stage."""

    row: int  # index of the row in its microbatch
    slot: int
    token: int
    logprob: float  # natural log of the model's own probability (before truncation and temperature)
    top: tuple[tuple[int, float], ...] = ()  # (token id, logprob), most probable first


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the last stage returns for one microbatch."""

    id: StepId
    sampled: tuple[SampledToken, ...]
    logits: Float32Array | None = None  # [R, V] in the order of Microbatch.returns_logits
    failures: tuple[SlotFailure, ...] = ()  # slots that nothing was drawn for, and whose logits mean nothing


@dataclass(frozen=True, slots=True)
class DrawnStep:
    """What the first stage is told of a step that was answered. Set by the last stage."""

    id: StepId
    slots: Int32Array  # those that drew, or failed
    tokens: Int32Array  # one for each of them; that of a failed one means nothing

    @classmethod
    def of(cls, result: StepResult) -> DrawnStep:
        # A step that was sent ahead for a slot that failed is computed with any token, and dropped.
        drawn = [(sampled.slot, sampled.token) for sampled in result.sampled]
        drawn += [(failure.slot, 0) for failure in result.failures]
        return cls(result.id, *np.array(drawn, np.int32).reshape(-1, 2).T)


@dataclass(frozen=True, slots=True)
class StepTiming:
    """When a stage worked on a step. Set by each stage, on its own node's monotonic clock."""

    id: StepId
    stage: int
    num_rows: int
    start_ns: int  # CLOCK_MONOTONIC before libllama is called
    end_ns: int  # after the last call into libllama for this step
    received_ns: int  # when the whole step had arrived, with the answer that it waits for


@dataclass(frozen=True, slots=True)
class StageFailure:
    """An epoch cannot go on. Set by the stage that noticed, or by the coordinator when a stream broke."""

    stage: int | None  # None: it was the coordinator's own fault; no stage says so
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Hello:
    """First message on every stage stream. Both ends must agree on all fields but those marked."""

    protocol_version: int
    model_hash: str  # hex sha256 of the source model's fingerprint
    build: str  # libllama build the slices run on
    epoch: int
    stage: int  # number of the stage that serves the stream
    num_stages: int
    first: int  # layers [first, end) of the stage that serves the stream
    end: int
    hidden_width: int
    wire_dtype: str  # "f32"
    num_slots: int
    context_length: int  # per slot, in tokens


@dataclass(frozen=True, slots=True)
class StageCosts:
    """What steps take on a stage, as it measured them when it was loaded. Set by the stage."""

    decode_ms: tuple[tuple[int, float], ...] = ()  # (rows, ms): a row of each of so many slots; () is unknown
    alone_speedup: float = 1.0  # cores that it may use while no other stage computes, in times of its share


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What a stage says about itself when asked. Set by the stage."""

    stage: int
    node: str
    device: str
    first: int  # layers [first, end)
    end: int
    state: str  # "ready" or "lost: reason"
    pid: int
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int
    rss_bytes: int


class FinishReason(StrEnum):
    """Why a request ended. The values are what clients see; each is a text, in JSON too."""

    STOP = "stop"  # an end token or a stop string
    LENGTH = "length"  # max_tokens reached
    CONTEXT = "context"  # the context is full
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Timings:
    """Figures of one request. Set by the coordinator, on its monotonic clock."""

    num_prompt_tokens: int = 0
    num_tokens: int = 0  # generated
    num_cached_tokens: int = 0  # prompt tokens whose KV was already there
    queue_ms: float = 0.0
    prefill_ms: float = 0.0  # admission to the first token
    decode_ms: float = 0.0  # first token to the last


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One step of a stream, as the client sees it. Set by the coordinator.

    `text` holds whole UTF-8 characters only and may be empty while bytes of a character or a possible stop
    string are held back. The last event of a stream carries `finish_reason` and `timings` and may have no token.
    """

    token: int | None
    text: str
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    finish_reason: FinishReason | None = None
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished text. `token_ids` excludes the prompt; `logprobs[i]` belongs to `token_ids[i]`."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    timings: Timings
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] = ()


@dataclass(frozen=True, slots=True)
class StageStatus:
    """A row of `cluster status`. Set by the coordinator from what each stage reported."""

    stage: int
    node: str
    device: str
    first: int
    end: int
    state: str  # "ready" or "lost: reason"
    pid: int
    address: str
    weight_bytes: int
    kv_bytes: int
    compute_bytes: int
    rss_bytes: int
    busy_fraction: float  # share of the last window that the stage computed, 0..1
    step_ms: float  # median compute time of a step in that window; 0 when idle
    num_steps: int


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What `cluster status` shows. Set by the coordinator."""

    model: str
    model_hash: str
    architecture: str
    state: str  # "ready", "degraded: reason"
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
    stages: tuple[StageStatus, ...] = field(default_factory=tuple)
