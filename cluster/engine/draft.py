"""Drafts: guesses of what a sequence goes on with, which the stages check all in one step."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Protocol

from cluster.engine.limits import Limits
from cluster.engine.sequence import Sequence
from cluster.messages.step import SampledToken


class Drafter(Protocol):
    """Guesses tokens. No text depends on its guesses, but for how soon it is there."""

    def draft(self, sequence: Sequence, max_tokens: int) -> Items[int]:
        """At most `max_tokens` tokens of the vocabulary, to follow the log of `sequence`; fewer or none if unsure.

        It is called in the engine's thread, and must not block.
        """
        ...


def most_drafted(sequence: Sequence, limits: Limits) -> int:
    """How long a draft may be: the token that is sampled behind it is the last that the sequence can have."""
    assert sequence.params is not None, "a draft for a logits request"
    most = limits.context_length - sequence.num_tokens - 1
    if sequence.params.max_tokens is not None:
        most = min(most, sequence.params.max_tokens - sequence.num_generated - 1)
    return max(0, most)


def num_right(draft: Items[int], sampled: Items[SampledToken]) -> int:
    """How many guesses, from the first on, are what was sampled in their place.

    The tokens sampled behind them and behind one more count. What was sampled from the row of a wrong guess does not,
    nor what comes after it.
    """
    count = 0
    for guess, token in zip(draft, sampled, strict=False):
        if guess != token.token:
            break
        count += 1
    return count
