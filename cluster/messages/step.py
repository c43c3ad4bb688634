"""The messages of one step: what the scheduler sends through the stages, and what comes back.

These are plain data. `cluster.wire` turns them into protobuf and back; nothing else crosses a process.
T is the number of rows of a microbatch, V the vocabulary size, R the rows asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cluster.api.sampling import SamplingParams

Int32Array = NDArray[np.int32]
Float32Array = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

NO_ROWS: Int32Array = np.empty(0, np.int32)
NO_TOKEN = -1  # what a sampler is told of a row that is none, but a picture's


@dataclass(frozen=True, slots=True, order=True)
class StepId:
    """Names one step of one microbatch. Set by the coordinator; every reply repeats it."""

    epoch: int  # grows by one whenever the stages are wired anew; older epochs are dropped
    microbatch: int  # lane of the pipeline, in [0, max microbatches in flight)
    step: int  # grows by one with every microbatch sent in this epoch


@dataclass(frozen=True, slots=True)
class SlotSampling:
    """Sampling parameters of a slot, sent once, with the first microbatch that samples from it, or has tokens that were
    drawn from it before: it is computed again then."""

    slot: int
    params: SamplingParams  # as the coordinator completes them: with a seed, and with the tokens that end the text
    num_prompt_tokens: int  # the tokens behind them were drawn, those of a sequence that is computed again too


@dataclass(frozen=True, slots=True)
class SlotStart:
    """Before the rows of its microbatch run, `slot` holds the first `length` tokens that `source` holds.

    With slot == source it keeps that much of what it has: what an earlier sequence left, or its own without the
    guesses that were wrong. Its sampling parameters stay then, until others come. Set by the scheduler.
    """

    slot: int
    source: int
    length: int


@dataclass(frozen=True, slots=True)
class SlotPicture:
    """The picture that a slot's rows of a microbatch are some of, in a model whose positions have sections (M-RoPE).

    Its rows lie line by line. From this every stage tells their positions, and those of what follows: a picture takes
    as many as its longer side has rows. Set by the scheduler.
    """

    slot: int
    first: int  # place of its first row in the sequence
    width: int  # it has so many columns
    height: int  # and so many lines


@dataclass(frozen=True, slots=True)
class SlotFailure:
    """A stage can do nothing for one slot of a step; the others are computed as without it. Set by that stage."""

    slot: int
    kind: str  # name of the class in `cluster.api.errors` that the request ends with
    reason: str  # its message


@dataclass(frozen=True, slots=True)
class Microbatch:
    """Rows that go through all stages together; T >= 1. Set by the scheduler.

    Rows of one slot are consecutive and their positions grow by one. Several of them may sample, the last ones without
    a gap: the token of a row is sampled as if those before it were all that its slot holds, whatever the rows behind it
    say. So guesses are checked: which samples count is for the engine to decide, by comparing them with the tokens of
    the rows behind. It takes rows back with the `slot_starts` of the slot's next microbatch.
    """

    id: StepId
    tokens: Int32Array  # [T] token ids, 0 for those pending; later stages need them for the repeat penalty
    positions: Int32Array  # [T] place of each row in its sequence; see also `pictures`
    slots: Int32Array  # [T] KV sequence id of each row, the same number on every stage
    wants_logits: BoolArray  # [T] rows whose logits the last stage computes
    samples: Int32Array  # rows to sample a token from, ascending; a subset of wants_logits
    returns_logits: Int32Array  # rows whose full logits travel back; a subset of wants_logits
    new_sampling: tuple[SlotSampling, ...] = ()
    slot_starts: tuple[SlotStart, ...] = ()  # in order
    failures: tuple[SlotFailure, ...] = ()  # slots without rows from here on; set by the stages before
    exclusive: bool = False  # no other stage computes while one computes it: that one may use the cores of its host
    after: int | None = None  # the first stage begins it once the last one has answered this step
    # Rows whose token is what their slot samples in step `after`, or sampled last before it; one token, not several.
    # None are left after the first stage, which puts these tokens in.
    pending: Int32Array = field(default_factory=lambda: NO_ROWS)
    # Rows of which is told what the model thought of the token that follows, ascending; a subset of wants_logits.
    scores: Int32Array = field(default_factory=lambda: NO_ROWS)
    targets: Int32Array = field(default_factory=lambda: NO_ROWS)  # that token, for each of them
    # The wanted rows are wanted as they are behind the last norm, not as logits: no token is sampled. The last row of
    # each text that ends here is in `pools`: the mean of the text's wanted rows travels back, of all its microbatches.
    embeds: bool = False
    pools: Int32Array = field(default_factory=lambda: NO_ROWS)
    # What the cluster's adapters are multiplied by in all rows, in their order; () is what the stages were loaded with.
    scales: tuple[float, ...] = ()
    # The stages that compute it, ascending; () is all. The others hold these rows: they only pass it on, the one before
    # such a stage with the hidden rows that it kept, and what the slots start with is not theirs. Nothing is sampled.
    restores: tuple[int, ...] = ()
    # All rows are guesses, the first one of each slot, too, of what a step before this one samples: they are computed
    # as if that were so. Where it is not, nothing counts that comes of them, and the next microbatch takes them back.
    is_guessed: bool = False
    # All rows are those of pictures, not of tokens, whose ids are 0: the first stage is given them as embeddings. They
    # travel where hidden rows do, and are here only with the coordinator.
    is_pictured: bool = False
    rows: Float32Array | None = None  # [T, E], or wider where the first layers add more of a picture
    pictures: tuple[SlotPicture, ...] = ()  # where positions have sections, the picture of each slot with rows here
    non_causal: bool = False  # all rows are those of one picture, and each sees them all, also those behind it

    @property
    def num_rows(self) -> int:
        return len(self.tokens)

    def is_computed_by(self, stage: int) -> bool:
        return not self.restores or stage in self.restores


@dataclass(frozen=True, slots=True)
class SampledToken:
    """One sampled token, or one that was given and is scored. Set by the last stage."""

    row: int  # index of the row in its microbatch
    slot: int
    token: int
    logprob: float  # natural log of the model's own probability (before truncation and temperature)
    top: tuple[tuple[int, float], ...] = ()  # (token id, logprob), most probable first


@dataclass(frozen=True, slots=True)
class StepResult:
    """What the last stage returns for one microbatch."""

    id: StepId
    sampled: tuple[SampledToken, ...]  # one for each row that samples, in their order; see `failures`
    logits: Float32Array | None = None  # [R, V] in the order of Microbatch.returns_logits
    # Slots whose logits mean nothing, and whose rows are not sampled from some row on: from the first, or from the one
    # that could not be.
    failures: tuple[SlotFailure, ...] = ()
    scored: tuple[SampledToken, ...] = ()  # one for each of Microbatch.scores, but for those of slots that failed
    embeddings: Float32Array | None = None  # [P, E] in the order of Microbatch.pools; those of failed slots are zeros


@dataclass(frozen=True, slots=True)
class SampledStep:
    """What the first stage is told of a step that was answered. Set by the last stage."""

    id: StepId
    slots: Int32Array  # those that drew, or failed
    tokens: Int32Array  # one for each of them; that of a failed one means nothing

    @classmethod
    def of(cls, result: StepResult) -> SampledStep:
        # A step that was sent ahead for a slot that failed is computed with any token, and dropped.
        pairs = [(sampled.slot, sampled.token) for sampled in result.sampled]
        pairs += [(failure.slot, 0) for failure in result.failures]
        return cls(result.id, *np.array(pairs, np.int32).reshape(-1, 2).T)


@dataclass(frozen=True, slots=True)
class StepTiming:
    """When a stage worked on a step. Set by each stage, on its own node's monotonic clock."""

    id: StepId
    stage: int
    num_rows: int
    start_ns: int  # CLOCK_MONOTONIC before libllama is called
    end_ns: int  # after the last call into libllama for this step
    received_ns: int  # when the whole step had arrived, with the answer that it waits for
    waited: bool = False  # for that answer, of the newest step before it: it was sent ahead
