"""Speculation: whether tokens are guessed ahead, and how many, so that most come in a time."""

from __future__ import annotations

from collections.abc import Sequence as Items

from cluster.engine.batch import Batch
from cluster.engine.cost.model import StepCostModel
from cluster.engine.cost.tuning import DRAFT_GAIN, DRAFT_LENGTHS, LEAST_HOLD_S, LEAST_WAITED_RATE, RUN_GAIN
from cluster.engine.drafting.chain import Chain, best_chain
from cluster.engine.drafting.drafter import Drafter, RemoteDrafter, most_drafted
from cluster.engine.drafting.pace import Pace
from cluster.engine.limits import Limits
from cluster.engine.outcome import StepOutcome
from cluster.engine.sequence import Sequence

Drafts = list[tuple[int, ...]]


class Speculation:
    """Asks the drafter, and weighs its guesses against what their rows take. Holds no clock.

    A guess that is right saves a step, one that is wrong costs its row. With a share `a` of right guesses, k of them
    bring 1 + a + ... + a^k tokens in one step.
    """

    def __init__(self, drafter: Drafter | None, limits: Limits, costs: StepCostModel) -> None:
        """`drafter`: None where nothing is guessed; nor is it where slots cannot go back to an earlier token."""
        self._drafter = drafter if limits.can_truncate else None
        self._remote = self._drafter if isinstance(self._drafter, RemoteDrafter) else None
        self._limits = limits
        self._costs = costs
        self._asked: dict[int, int] = {}  # by request id: how long its log was when guesses were last wanted
        self._is_holding = False
        self._chain_of: tuple[int, int] | None = None  # request id and length of the log, of what `_chain` is for
        self._chain: Chain | None = None
        self.pace = Pace(costs)
        self.num_drafted = 0
        self.num_accepted = 0
        self.num_dropped_runs = 0

    def waits_for(self, going_on: Items[Sequence], num_decoding: int, *, exclusive: bool) -> bool:
        """Whether the step under way is to be answered before the next: what it samples is likely followed by a draft.

        What follows a token that is not known yet cannot be checked.
        """
        drafter = self._drafter
        if drafter is None or not going_on or num_decoding > self._limits.max_drafting:
            return False
        rates = [drafter.rate(sequence) for sequence in going_on]
        most = self._limits.max_batch_tokens // len(rates) - 1
        if self._remote is not None:  # it guesses behind whatever token comes
            return min(rates) > 0 and self._best(rates, most, exclusive=exclusive)[0] > 0
        if min(rates) < LEAST_WAITED_RATE:
            return False
        return self._best(rates, most, exclusive=exclusive, is_waiting=True)[0] > 0

    def holds(self, ready: Items[Sequence], num_decoding: int) -> bool:
        """Whether these wait for guesses that are being made behind them elsewhere. If that pays, they are asked for.

        `ready`: sequences whose newest token could be computed now.
        """
        remote = self._remote
        self._is_holding = False
        if remote is None or not ready or num_decoding > self._limits.max_drafting:
            return False
        if not remote.wait_s():
            self._ask(remote, ready, num_decoding)
        self._is_holding = remote.wait_s() > 0
        return self._is_holding

    def hold_s(self) -> float:
        """How long what `holds` said last is so at most; 0 if it held nothing."""
        if not self._is_holding or self._remote is None:
            return 0.0
        return max(self._remote.wait_s(), LEAST_HOLD_S)  # what is over by now is looked at once more

    def drafts(self, chosen: Items[Sequence], max_draft: int, num_decoding: int, *, exclusive: bool) -> Drafts:
        """One for each of these sequences, maybe empty. Those that are not are equally long, but for the ends of texts:
        stages compute sequences together that have as many rows."""
        none: Drafts = [()] * len(chosen)
        drafter = self._drafter
        if drafter is None or num_decoding > self._limits.max_drafting or max_draft <= 0:
            return none
        if self._remote is not None:
            return self._made(self._remote, chosen, max_draft)
        rates = [drafter.rate(sequence) for sequence in chosen]
        length, _ = self._best(rates, max_draft, exclusive=exclusive)
        if not length:
            return none
        return [
            self._draft(drafter, sequence, length) if rate else () for sequence, rate in zip(chosen, rates, strict=True)
        ]

    def chain(self, sequence: Sequence) -> Chain | None:
        """How a sequence that decodes alone has several drafts under way at a time; None where one brings as much."""
        drafter = self._drafter
        if drafter is None or self._remote is not None or self._limits.max_runs == 1:
            return None
        if self._chain_of != (sequence.request_id, sequence.num_tokens):  # it is asked for with every event
            self._chain_of = sequence.request_id, sequence.num_tokens
            self._chain = self._worthwhile(drafter.rate(sequence))
        return self._chain

    def run(self, sequence: Sequence, length: int) -> tuple[int, ...]:
        """At most so many guesses, behind those of the sequence that are under way."""
        return () if self._drafter is None else self._draft(self._drafter, sequence, length)

    def answered(self, batch: Batch, took_s: float, turn_s: float) -> None:
        """What a step took since the one before it was answered, and since it was sent, to choose later ones by."""
        if self._drafter is None:
            return
        if batch.chunks[0].num_runs > 1:
            exclusive = self._costs.decode_plan(1).exclusive
            self.pace.saw_run(batch, took_s, turn_s, exclusive=exclusive)
        elif not batch.follows_runs:
            self.pace.saw(batch, took_s)

    def count(self, outcomes: Items[StepOutcome]) -> None:
        """What became of the guesses of a step."""
        if self._drafter is not None:
            self.num_drafted += sum([outcome.num_drafted for outcome in outcomes])
            self.num_accepted += sum([outcome.num_accepted for outcome in outcomes])
            self.num_dropped_runs += sum([outcome.num_dropped_runs for outcome in outcomes])

    def end(self, request_id: int) -> None:
        """The request has ended."""
        if self._drafter is not None:
            self._asked.pop(request_id, None)
            self._drafter.forget(request_id)

    def _ask(self, remote: RemoteDrafter, ready: Items[Sequence], num_decoding: int) -> None:
        """Once behind each token: what brings no guesses the first time is not waited for again."""
        wanting = [
            sequence
            for sequence in ready
            if self._asked.get(sequence.request_id) != sequence.num_tokens
            and most_drafted(sequence, self._limits) > 0
            and not remote.num_known(sequence)
        ]
        rates = [remote.rate(sequence) for sequence in wanting]
        most = self._limits.max_batch_tokens // len(ready) - 1
        length, _ = self._best(rates, most, exclusive=self._costs.decode_plan(num_decoding).exclusive)
        if length:
            asked = [sequence for sequence, rate in zip(wanting, rates, strict=True) if rate > 0]
            self._asked |= {sequence.request_id: sequence.num_tokens for sequence in asked}
            remote.ask(asked, length)

    def _made(self, remote: RemoteDrafter, chosen: Items[Sequence], max_draft: int) -> Drafts:
        """What was asked for and is there: what it took is spent, whatever else has changed."""
        known = [min(remote.num_known(sequence), max_draft) for sequence in chosen]
        length = min(filter(None, known), default=0)
        pairs = zip(chosen, known, strict=True)
        return [self._draft(remote, sequence, length) if num_known else () for sequence, num_known in pairs]

    def _draft(self, drafter: Drafter, sequence: Sequence, length: int) -> tuple[int, ...]:
        most = min(length, most_drafted(sequence, self._limits))
        return tuple(drafter.draft(sequence, most)[:most]) if most > 0 else ()

    def _worthwhile(self, rate: float) -> Chain | None:
        exclusive = self._costs.decode_plan(1).exclusive
        most = self._limits.max_batch_tokens - 1
        chain = best_chain(rate, most, self._limits.max_runs, self.pace, exclusive=exclusive)
        if chain is None:
            return None
        _, tokens_s = self._best([rate], most, exclusive=exclusive)
        return chain if chain.tokens_s > (1 + RUN_GAIN) * tokens_s else None

    def _best(
        self, rates: Items[float], max_draft: int, *, exclusive: bool, is_waiting: bool = False
    ) -> tuple[int, float]:
        """How many guesses for each sequence that has any, 0 if none promise a clear gain; and the tokens a second that
        this promises.

        `is_waiting`: a token has to come first that is guessed, too. If that guess is wrong, there is no draft, but a
        step that did not follow the one before as closely as it could have.
        """
        num_all, guessing = len(rates), [rate for rate in rates if rate > 0]
        num_guessing = len(guessing)
        plain_s = self.pace.plain_s(num_all, exclusive=exclusive) or 1.0
        if not guessing:
            return 0, num_all / plain_s
        begins = sum(guessing) / num_guessing if is_waiting else 1.0
        late_s = self.pace.step_s(num_all, num_all, exclusive=exclusive) or 1.0
        # Those that guess nothing are computed in a call of their own.
        beside_s = self.pace.plain_s(num_all - num_guessing, exclusive=exclusive) if num_all > num_guessing else 0.0
        best, best_a_second, most_a_second = 0, num_all / plain_s, (1 + DRAFT_GAIN) * num_all / plain_s
        for length in DRAFT_LENGTHS:
            if length > max_draft:
                break
            num_rows = num_guessing * (length + 1)
            takes_s = (self.pace.step_s(num_guessing, num_rows, exclusive=exclusive) or 1.0) + beside_s
            if self._remote is not None:
                takes_s += self._remote.draft_s(num_guessing, length)
            num_tokens = num_all - num_guessing + sum([_num_expected(rate, length) for rate in guessing])
            a_second = (begins * num_tokens + (1 - begins) * num_all) / (begins * takes_s + (1 - begins) * late_s)
            if a_second > most_a_second:
                best, best_a_second, most_a_second = length, a_second, a_second
        return best, best_a_second


def _num_expected(rate: float, length: int) -> float:
    """Tokens that a step brings which checks so many guesses, each right at that rate if those before it are."""
    return length + 1.0 if rate >= 1 else (1 - rate ** (length + 1)) / (1 - rate)
