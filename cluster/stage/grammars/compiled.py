"""The grammars that requests of late had, compiled, and the vocabulary that they share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from cluster.api.errors import UsageError
from cluster.grammar.matcher import Matcher
from cluster.grammar.vocabulary import GrammarVocabulary, Spelling

MAX_KEPT = 16


class CompiledGrammars:
    """For any thread: one compiles while others wait."""

    def __init__(self, open_spelling: Callable[[], Spelling] | None, vocab_size: int) -> None:
        """`open_spelling` is called for the first grammar; None: this model's tokens have no bytes."""
        self._open_spelling = open_spelling
        self._vocab_size = vocab_size
        self._lock = threading.Lock()
        self._spelling: Spelling | None = None
        self._pieces: tuple[bytes, ...] | None = None
        self._vocabulary: GrammarVocabulary | None = None
        self._kept: OrderedDict[str, Matcher] = OrderedDict()

    def matcher(self, text: str) -> Matcher:
        """A new one, without tokens. Takes its time for a grammar that is new here, and most for the very first.

        UsageError if the grammar does not compile, or names tokens that this model has not.
        """
        with self._lock:
            found = self._kept.get(text)
            if found is None:
                found = self._kept[text] = Matcher.of(self._opened(), text)
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(text)
            return found.fresh()

    def pieces(self) -> tuple[bytes, ...]:
        """What each token adds to a text, of all that have logits; nothing at all if this model's tokens are no text.

        It takes its time once.
        """
        if self._open_spelling is None:
            return ()
        with self._lock:
            if self._pieces is None:
                spelling = self._spelled(self._open_spelling)
                known = tuple(map(spelling.token_bytes, range(min(spelling.num_tokens, self._vocab_size))))
                self._pieces = known + (b"",) * (self._vocab_size - len(known))
            return self._pieces

    def forget(self, text: str) -> None:
        """One that became too much to follow: what it has learnt is shared by all that were made of it."""
        with self._lock:
            self._kept.pop(text, None)

    def _opened(self) -> GrammarVocabulary:
        if self._vocabulary is None:
            if self._open_spelling is None:
                raise UsageError("grammar: this model's tokens are no text; leave the grammar out")
            self._vocabulary = GrammarVocabulary(self._spelled(self._open_spelling), self._vocab_size)
        return self._vocabulary

    def _spelled(self, open_spelling: Callable[[], Spelling]) -> Spelling:
        if self._spelling is None:
            self._spelling = open_spelling()
        return self._spelling
