"""Sequence: the tokens of one request, and how far the stages have come with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cluster.api.embedding import Pooling
from cluster.api.sampling import SamplingParams
from cluster.messages.pictures import PictureRows

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
        num_held: leading tokens that stages hold which outlived others. While it is more than `num_computed`, those
            others are given them again.
        has_come_back: rows of it have, in the slot that it has: all stages had begun with it.
        has_surplus: stages may hold rows behind the computed ones that do not count, until the next microbatch: those
            of wrong guesses, or that were under way when an epoch ended.
        num_losses: deaths of stages while rows of it were under way, since it last had a token.
        is_suspected: the last time that stages were lost is one of those.
        num_drafted: tokens that were guessed ahead and checked.
        num_accepted: those of them that were right, and are in the text.
        ahead: guesses of the tokens behind its log whose rows are under way, in order.
        num_runs: microbatches under way with tokens that were sampled for it, or guesses. Those behind a wrong guess
            count no more.
        branch: grows when a guess was wrong: what was sent behind it, as if it were right, is of another text.
        num_dropped_runs: microbatches that were so.
        num_cached: leading tokens of the prompt whose KV was there already, when it first got a slot.
        slot: KV sequence id while running.
        sampling_sent: the last stage knows `params`, or will before what is sent next.
        sampling_known: it has answered a step that they were needed for.
        admitted_s: when it first got a slot, on the engine's clock.
        generates: a token follows its prompt; else only the prompt is looked at.
        pooling: how a vector is made of the rows; None asks for none.
        scales: of the adapters, as in Microbatch. Rows that were computed with others are those of another model.
        pictures: rows of the prompt that are given as such, ascending; in the prompt are negative numbers for them.
    """

    request_id: int
    prompt: tuple[int, ...]
    params: SamplingParams | None
    client: str = ""
    log: list[int] = field(init=False)
    state: State = State.WAITING
    num_computed: int = 0
    num_in_flight: int = 0
    num_held: int = 0
    has_come_back: bool = False
    has_surplus: bool = False
    num_losses: int = 0
    is_suspected: bool = False
    num_drafted: int = 0
    num_accepted: int = 0
    ahead: list[int] = field(default_factory=list)
    num_runs: int = 0
    branch: int = 0
    num_dropped_runs: int = 0
    num_cached: int = 0
    slot: int | None = None
    sampling_sent: bool = False
    sampling_known: bool = False
    admitted_s: float | None = None
    generates: bool = True
    pooling: Pooling | None = None
    scales: tuple[float, ...] = ()
    pictures: tuple[PictureRows, ...] = ()

    def interrupt(self, *, is_loss: bool) -> None:
        """An epoch is over: nothing of it will come back that is under way. `is_loss`: for stages have died."""
        if is_loss:
            self.is_suspected = self.num_in_flight > 0
            self.num_losses += self.is_suspected
        self.has_surplus |= self.num_in_flight > 0
        self.sampling_sent = self.sampling_known
        self.forget_ahead()

    def forget_ahead(self) -> int:
        """What is under way is of another text, or will never come back. How many microbatches that were."""
        num_runs, self.num_runs = self.num_runs, 0
        self.num_in_flight = 0
        self.ahead.clear()
        self.branch += 1
        return num_runs

    def rewind(self) -> None:
        """The stages hold nothing of it that counts: all of its log is to be computed again, in any slot."""
        self.state, self.slot = State.WAITING, None
        self.num_computed = self.num_held = 0
        self.has_come_back = self.has_surplus = self.sampling_sent = self.sampling_known = False

    def restore(self, *, knows_sampling: bool) -> None:
        """Some stages hold nothing of it, and are given what the others hold. `knows_sampling`: the last one does."""
        self.num_held, self.num_computed = self.num_computed, 0
        self.sampling_known &= knows_sampling
        self.sampling_sent = self.sampling_known

    def acquit(self) -> None:
        """The stages had not died after all."""
        self.num_losses -= self.is_suspected
        self.is_suspected = False

    def drop_last(self, num_tokens: int) -> None:
        """Takes back the newest tokens, which were sampled in one step with the last token of the text."""
        if num_tokens:
            del self.log[-num_tokens:]
            self.num_accepted -= num_tokens - 1  # the last of them was no guess

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
        """Leading tokens, guesses included, that the stages hold once all that is in flight has run."""
        return self.num_computed + self.num_in_flight

    @property
    def num_unsent(self) -> int:
        return max(0, len(self.log) - self.num_sent)  # guesses may be under way behind its log

    @property
    def num_remaining(self) -> int:
        """Rows that the stages have yet to compute (those in flight included)."""
        return len(self.log) - self.num_computed

    @property
    def scores_prompt(self) -> bool:
        """What the model thinks of the prompt's tokens is told, too."""
        return self.params is not None and self.params.prompt_logprobs is not None

    @property
    def outlives_epochs(self) -> bool:
        """What stages hold of it is all that it needs to go on, if nothing is behind that; else it is computed again.

        What was told of a prompt, or gathered for a vector, is not known to the rows; and those of pictures are given
        from the beginning on.
        """
        is_whole = self.has_come_back and self.num_computed >= self.num_held
        return is_whole and self.kind is Kind.GENERATE and not self.scores_prompt and not self.pictures

    @property
    def num_reusable(self) -> int:
        """Leading tokens that need not be computed where the stages hold them. The last one has to be sampled
        from; all of them are wanted for logits, or to be scored, and for most vectors."""
        needs_all = self.kind is Kind.LOGITS or self.pooling in (Pooling.MEAN, Pooling.CLS) or self.scores_prompt
        return 0 if needs_all else self.last_cut(len(self.prompt) - 1)

    def inseparable_at(self, place: int) -> int:
        """So many rows from there on go into one microbatch, without any others: those of a picture that see each
        other. 0 where the row there is none of such."""
        picture = self.picture_at(place)
        return len(picture.rows) if picture is not None and picture.non_causal else 0

    def picture_at(self, place: int) -> PictureRows | None:
        """The picture that the row there is one of."""
        return next((one for one in self.pictures if one.first <= place < one.end), None)

    def last_cut(self, length: int) -> int:
        """The most of the first `length` rows that stages can go back to, and go on from: of some pictures all rows or
        none."""
        within = self.picture_at(length)
        return within.first if within is not None and within.is_whole else length

    def run_end(self, place: int) -> int:
        """Behind the last row from there on that is of the same kind: of this picture, or of tokens."""
        within = self.picture_at(place)
        if within is not None:
            return within.end
        return min((one.first for one in self.pictures if one.first > place), default=len(self.log))

    @property
    def num_generated(self) -> int:
        return len(self.log) - len(self.prompt)
