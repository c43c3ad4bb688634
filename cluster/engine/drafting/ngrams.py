"""Ngrams: what a text has said before, so that it can be guessed what it says next."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Items

from cluster.engine.cost.tuning import DRAFT_MEMORY, FIRST_RATES, LONGEST_NGRAM, MOST_NGRAMS, SHORTEST_NGRAM


class Ngrams:
    """Where the n-grams of one text last ended.

    The longest of those that end the text now, and were there before, says how it goes on: as it did then. Each token
    that comes tells whether that would have been right, so that guesses are judged without being made.
    """

    def __init__(self, num_prompt_tokens: int, rates: Mapping[int, float] = FIRST_RATES) -> None:
        """`rates`: as `rates`, of texts like it."""
        self._num_prompt_tokens = num_prompt_tokens
        self._num_read = 0
        self._length = 0  # of the n-gram that ends the text and was there before; 0: there is none
        self._next = 0  # the position of the token that came behind it then
        # Two halves: the older one is dropped when the newer is full, which costs nothing for each n-gram.
        self._newer: dict[tuple[int, ...], int] = {}
        self._older: dict[tuple[int, ...], int] = {}
        self.rates = dict(rates)  # by the length of the n-gram: share of the tokens behind it that it said

    @property
    def num_held(self) -> int:
        """N-grams that are remembered."""
        return len(self._newer) + len(self._older)

    def read(self, log: Items[int], most_tokens: int) -> bool:
        """Takes in `most_tokens` more of a text that only grows. Whether that was all of it."""
        end = min(len(log), self._num_read + most_tokens)
        for position in range(self._num_read, end):
            self._take(log, position)
        self._num_read = end
        return end == len(log)

    @property
    def rate(self) -> float:
        """The share of the guesses that are right, as of late, behind n-grams of this length; 0 without a guess."""
        return self.rates[self._length] if self._length else 0.0

    def guesses(self, log: Items[int], num_tokens: int) -> list[int]:
        """What came behind the same n-gram before; where that reaches the end of the text, it goes around."""
        if not self._length:
            return []
        known = list(log[self._next : self._next + num_tokens])
        period = len(log) - self._next
        return [known[index % period] for index in range(num_tokens)]

    def _take(self, log: Items[int], position: int) -> None:
        if self._length and position >= self._num_prompt_tokens:
            is_right = log[self._next] == log[position]
            self.rates[self._length] += (1 - DRAFT_MEMORY) * (is_right - self.rates[self._length])
        self._length = 0
        for length in range(SHORTEST_NGRAM, min(LONGEST_NGRAM, position + 1) + 1):
            ngram = tuple(log[position + 1 - length : position + 1])
            ended = self._newer.get(ngram, self._older.get(ngram))
            if ended is not None:
                self._length, self._next = length, ended + 1
            self._newer[ngram] = position
        if len(self._newer) >= MOST_NGRAMS // 2:
            self._older, self._newer = self._newer, {}
