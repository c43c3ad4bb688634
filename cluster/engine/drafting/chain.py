"""Chain: drafts that go through the stages one behind the other, each as if all before it were right."""

from __future__ import annotations

from typing import NamedTuple

from cluster.engine.cost.tuning import DRAFT_LENGTHS, LEAST_RUN_RATE, MOST_RUN_RATE
from cluster.engine.drafting.pace import Pace


class Chain(NamedTuple):
    """Drafts of one sequence: `length` guesses behind each known token, and so many microbatches under way at a time.

    `tokens_s`: what that promises, in tokens a second.
    """

    length: int
    num_runs: int
    tokens_s: float


def best_chain(rate: float, max_draft: int, max_runs: int, pace: Pace, *, exclusive: bool) -> Chain | None:
    """The chain of two runs or more that promises most tokens in a time; None where nothing is known of steps.

    `rate`: share of the guesses that are right, if those before them are. `max_draft`, `max_runs`: bounds of a chain.
    `exclusive`: steps without guesses have all cores; those of a chain never do.
    """
    best: Chain | None = None
    if rate < LEAST_RUN_RATE:
        return best
    for num_runs in range(2, max_runs + 1):
        for length in (0, *DRAFT_LENGTHS):
            if length > max_draft:
                break
            turn_s = pace.turn_s(length + 1, num_runs, exclusive=exclusive)
            interval_s = pace.interval_s(length + 1, num_runs, exclusive=exclusive)
            if turn_s > 0 and interval_s > 0:
                promised = tokens_s(min(rate, MOST_RUN_RATE), length, turn_s, interval_s)
                if best is None or promised > best.tokens_s:
                    best = Chain(length, num_runs, promised)
    return best


def tokens_s(rate: float, length: int, turn_s: float, interval_s: float) -> float:
    """Tokens a second of chains that end with their first wrong guess.

    The first run is answered after `turn_s`, those behind it `interval_s` apart. One is right, with the guess behind
    it, by r = rate^(length + 1), so that r / (1 - r) are awaited behind the first; and 1 / (1 - rate) tokens come of
    all, the one in place of the wrong guess included.
    """
    right: float = rate ** (length + 1)
    return 1 / (1 - rate) / (turn_s + interval_s * right / (1 - right))
