"""Drafts: guesses of what a sequence goes on with, which the stages check all in one step."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Protocol, runtime_checkable

from cluster.engine.limits import Limits
from cluster.engine.sequence import Sequence


class Drafter(Protocol):
    """Guesses tokens. No text depends on its guesses, but for how soon it is there."""

    def draft(self, sequence: Sequence, max_tokens: int) -> Items[int]:
        """At most `max_tokens` tokens of the vocabulary, to follow the log of `sequence`, and behind that the guesses
        that are under way (`ahead`), if those are right; fewer or none if unsure.

        It is called in the engine's thread, and must not block.
        """
        ...

    def rate(self, sequence: Sequence) -> float:
        """The share of its guesses behind this log that are likely right, 0 to 1; 0 where it has none."""
        ...

    def forget(self, request_id: int) -> None:
        """The request has ended; it may be one that was never asked about."""
        ...


@runtime_checkable
class RemoteDrafter(Drafter, Protocol):
    """A drafter whose guesses are made elsewhere and take their time, behind whatever token comes.

    It is told whose are wanted, and has them a while later; then it wakes the engine. `draft` gives what is there.
    """

    def num_known(self, sequence: Sequence) -> int:
        """Guesses behind this log that are there."""
        ...

    def ask(self, sequences: Items[Sequence], length: int) -> None:
        """So many guesses are wanted behind each of these logs. What was asked before has been answered, or is late."""
        ...

    def wait_s(self) -> float:
        """How long what was asked last is worth waiting for, at most; 0 if it is there, late or not to be waited for.

        The drafter has a clock of its own.
        """
        ...

    def draft_s(self, num_sequences: int, length: int) -> float:
        """What so many guesses behind each of so many logs take, in seconds."""
        ...


def most_drafted(sequence: Sequence, limits: Limits) -> int:
    """How long a draft may be, behind the log and the guesses that are under way: the token that is sampled behind it
    is the last that the sequence can have."""
    assert sequence.params is not None, "a draft for a logits request"
    if sequence.pictures:  # drafters read tokens
        return 0
    most = limits.context_length - sequence.num_tokens - 1
    if sequence.params.max_tokens is not None:
        most = min(most, sequence.params.max_tokens - sequence.num_generated - 1)
    return max(0, most - len(sequence.ahead))
