"""Sequence: the tokens of one request, and how far the stages have come with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cluster.api.embedding import Pooling
from cluster.api.sampling import SamplingParams

# Epochs that may end while rows of a sequence are under way, without a token of it between: from then on it is alone
# with the stages, and at one more it ends. By reasoning: one may be bad luck.
SUSPICIOUS_LOSSES = 2
MOST_LOSSES = 3


class Kind(Enum):
    """What a request wants back."""

    GENERATE = "generate"  # a token is sampled after the last row, and appended
    LOGITS = "logits"  # the full logits of every row of the prompt; nothing is sampled
    EMBED = "embed"  # one vector, made of rows of the prompt; nothing is sampled


class State(Enum):
    """Where a sequence is. It moves forward, but for one that is to be computed again: that waits anew."""

    WAITING = "waiting"  # has no slot yet
    RUNNING = "running"  # has a slot
    ENDED = "ended"  # finished, cancelled or failed: what still comes back for it is dropped


@dataclass(slots=True, eq=False)
class Sequence:
    """One request as the scheduler sees it; two sequences are never equal.

    `num_computed` catches up with `num_tokens`: by chunks of the prompt at first, several of which may be in
    flight, and by one row a step later. Changed by the scheduler only.

    Attributes:
        request_id: names the request.
        prompt: token ids, at least one.
        params: with a seed; None asks for logits, or for a vector.
        client: who asked; clients share slots and queue.
        log: prompt, then generated tokens. Append only: what is in it has been or will be delivered once. (Tokens that
            a step sampled behind the end of a text are dropped before anybody looks.)
        num_computed: leading tokens whose rows have come back from the last stage.
        num_in_flight: rows after those that are in microbatches now; 0 when it is in none.
        num_rejected: rows behind the computed ones that the stages hold of wrong guesses, until the next microbatch.
        num_losses: deaths of stages while rows of it were under way, since it last had a token.
        is_suspected: the last time that stages were lost is one of those.
        num_cached: leading tokens of the prompt whose KV was there already, when it first got a slot.
        slot: KV sequence id while running.
        sampling_sent: the last stage knows `params`.
        admitted_s: when it first got a slot, on the engine's clock.
        generates: a token follows its prompt; else only the prompt is looked at.
        pooling: how a vector is made of the rows; None asks for none.
        scales: of the adapters, as in Microbatch. Rows that were computed with others are those of another model.
    """

    request_id: int
    prompt: tuple[int, ...]
    params: SamplingParams | None
    client: str = ""
    log: list[int] = field(init=False)
    state: State = State.WAITING
    num_computed: int = 0
    num_in_flight: int = 0
    num_rejected: int = 0
    num_losses: int = 0
    is_suspected: bool = False
    num_cached: int = 0
    slot: int | None = None
    sampling_sent: bool = False
    admitted_s: float | None = None
    generates: bool = True
    pooling: Pooling | None = None
    scales: tuple[float, ...] = ()

    def rewind(self, *, is_loss: bool) -> None:
        """The stages hold nothing of it any more: all of its log is to be computed again, in any slot."""
        if is_loss:
            self.is_suspected = self.num_in_flight > 0
            self.num_losses += self.is_suspected
        self.state, self.slot, self.sampling_sent = State.WAITING, None, False
        self.num_computed = self.num_in_flight = self.num_rejected = 0

    def acquit(self) -> None:
        """The stages had not died after all."""
        self.num_losses -= self.is_suspected
        self.is_suspected = False

    def drop_last(self, num_tokens: int) -> None:
        """Takes back the newest tokens, which were sampled in one step with the last token of the text."""
        if num_tokens:
            del self.log[-num_tokens:]

    def __post_init__(self) -> None:
        self.log = list(self.prompt)

    @property
    def held_slot(self) -> int:
        """The slot of a running sequence."""
        assert self.slot is not None, f"request {self.request_id} has no slot"
        return self.slot

    @property
    def kind(self) -> Kind:
        if self.pooling is not None:
            return Kind.EMBED
        return Kind.LOGITS if self.params is None else Kind.GENERATE

    @property
    def num_tokens(self) -> int:
        return len(self.log)

    @property
    def num_sent(self) -> int:
        """Leading tokens that the stages hold once all that is in flight has run."""
        return self.num_computed + self.num_in_flight

    @property
    def num_unsent(self) -> int:
        return len(self.log) - self.num_sent

    @property
    def num_remaining(self) -> int:
        """Rows that the stages have yet to compute (those in flight included)."""
        return len(self.log) - self.num_computed

    @property
    def scores_prompt(self) -> bool:
        """What the model thinks of the prompt's tokens is told, too."""
        return self.params is not None and self.params.prompt_logprobs is not None

    @property
    def num_reusable(self) -> int:
        """Leading tokens that need not be computed where the stages hold them. The last one has to be sampled
        from; all of them are wanted for logits, or to be scored, and for most vectors."""
        needs_all = self.kind is Kind.LOGITS or self.pooling in (Pooling.MEAN, Pooling.CLS) or self.scores_prompt
        return 0 if needs_all else len(self.prompt) - 1

    @property
    def num_generated(self) -> int:
        return len(self.log) - len(self.prompt)
