"""Sequence: the tokens of one request, and how far the stages have come with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cluster.sampling import SamplingParams


class Kind(Enum):
    """What a request wants back."""

    GENERATE = "generate"  # a token is drawn after the last row, and appended
    LOGITS = "logits"  # the full logits of every row of the prompt; nothing is drawn


class State(Enum):
    """Where a sequence is. It only ever moves forward."""

    WAITING = "waiting"  # has no slot yet
    RUNNING = "running"  # has a slot
    ENDED = "ended"  # finished, cancelled or failed: what still comes back for it is dropped


@dataclass(slots=True, eq=False)
class Sequence:
    """One request as the scheduler sees it; two sequences are never equal.

    There is no prefill or decode phase: `num_computed` catches up with `num_tokens`, by many rows at first
    and by one row a step later. Changed by the scheduler only.

    Attributes:
        request_id: names the request.
        prompt: token ids, at least one.
        params: with a seed; None asks for logits.
        log: prompt, then generated tokens. Append only: what is in it has been or will be delivered once.
        num_computed: leading tokens whose rows have come back from the last stage.
        num_in_flight: rows of it that are in a microbatch now; 0 when it is in none.
        slot: KV sequence id while running.
        sampling_sent: the last stage knows `params`.
        admitted_s: when it got its slot, on the engine's clock.
    """

    request_id: int
    prompt: tuple[int, ...]
    params: SamplingParams | None
    log: list[int] = field(init=False)
    state: State = State.WAITING
    num_computed: int = 0
    num_in_flight: int = 0
    slot: int | None = None
    sampling_sent: bool = False
    admitted_s: float | None = None

    def __post_init__(self) -> None:
        self.log = list(self.prompt)

    @property
    def kind(self) -> Kind:
        return Kind.LOGITS if self.params is None else Kind.GENERATE

    @property
    def num_tokens(self) -> int:
        return len(self.log)

    @property
    def num_remaining(self) -> int:
        """Rows that the stages have yet to compute (those in flight included)."""
        return len(self.log) - self.num_computed

    @property
    def num_generated(self) -> int:
        return len(self.log) - len(self.prompt)
