"""GuessedText: what a model guessed of one text, and how often it was right."""

from __future__ import annotations

from collections.abc import Sequence as Items

from cluster.engine.cost.tuning import DRAFT_MEMORY, FIRST_MODEL_RATE, MODEL_FORGETTING


class GuessedText:
    """The text only grows, and each of its tokens judges the guess that was made of it, if there was one."""

    def __init__(self, num_prompt_tokens: int, rate: float) -> None:
        """`rate`: of texts like it."""
        self.rate = rate  # share of right guesses as of late, each if those before it were right
        self._num_read = num_prompt_tokens
        self._begin = 0  # the position of the first guess
        self._guesses: Items[int] = ()

    def take(self, begin: int, guesses: Items[int]) -> None:
        """Guesses of the tokens from a position on, in place of those before."""
        self._begin, self._guesses = begin, guesses

    def read(self, log: Items[int]) -> None:
        """Takes in what is new."""
        for position in range(self._num_read, len(log)):
            place = position - self._begin
            if not 0 <= place < len(self._guesses):
                self.rate += MODEL_FORGETTING * (FIRST_MODEL_RATE - self.rate)
                continue
            is_right = self._guesses[place] == log[position]
            self.rate += (1 - DRAFT_MEMORY) * (is_right - self.rate)
            if not is_right:
                self._guesses = ()
        self._num_read = len(log)

    def known(self, log: Items[int]) -> Items[int]:
        """The guesses behind this log: what is left of those that it has borne out."""
        place = len(log) - self._begin
        if not 0 <= place < len(self._guesses) or list(self._guesses[:place]) != list(log[self._begin :]):
            return ()
        return self._guesses[place:]
