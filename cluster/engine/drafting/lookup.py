"""LookupDrafter: guesses that a text goes on as it did where it last said the same. It needs no model."""

from __future__ import annotations

from cluster.engine.cost.tuning import FIRST_RATES, MOST_READ, TEXT_SHARE
from cluster.engine.drafting.ngrams import Ngrams
from cluster.engine.sequence import Sequence


class LookupDrafter:
    """Implements `drafter.Drafter`: prompt lookup, as llama.cpp's ngram-simple and vLLM's ngram do it."""

    def __init__(self) -> None:
        self._texts: dict[int, Ngrams] = {}  # by request id
        self._rates = dict(FIRST_RATES)  # of the texts before

    def rate(self, sequence: Sequence) -> float:
        text = self._texts.get(sequence.request_id)
        if text is None:
            text = self._texts[sequence.request_id] = Ngrams(len(sequence.prompt), self._rates)
        # A long prompt is read over several steps, so that none of them waits for it.
        return text.rate if text.read(sequence.log, MOST_READ) else 0.0

    def draft(self, sequence: Sequence, max_tokens: int) -> list[int]:
        text = self._texts.get(sequence.request_id)
        if text is None or not text.read(sequence.log, MOST_READ):
            return []
        ahead = sequence.ahead
        guesses = text.guesses(sequence.log, len(ahead) + max_tokens)
        # Where the newest tokens have it go on otherwise than was guessed, that is soon known to be right or wrong.
        return guesses[len(ahead) :] if guesses[: len(ahead)] == ahead else []

    def forget(self, request_id: int) -> None:
        text = self._texts.pop(request_id, None)
        if text is not None:
            for length, rate in text.rates.items():
                self._rates[length] += TEXT_SHARE * (rate - self._rates[length])
