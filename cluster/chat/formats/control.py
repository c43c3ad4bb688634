"""Control tokens of a vocabulary, by the names that formats know them by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cluster.api.model import TokenKind, VocabularyTable


class ControlTokens:
    """The names of control tokens, found in literals. A literal is text to the grammar but for these."""

    def __init__(self, vocabulary: VocabularyTable, end_tokens: Iterable[int]) -> None:
        self._ids: dict[str, int] = {}
        for token, kind in enumerate(vocabulary.kinds):
            if kind is TokenKind.CONTROL:
                name = vocabulary.pieces[token].decode("utf-8", "replace")
                if name:
                    self._ids.setdefault(name, token)
        self._end_tokens = frozenset(end_tokens)
        longest_first = sorted(self._ids, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def pieces(self, literal: str) -> Iterator[str | int]:
        """The texts and the ids of control tokens that a literal consists of, in order."""
        begin = 0
        for found in self._pattern.finditer(literal):
            if found.start() > begin:
                yield literal[begin : found.start()]
            yield self._ids[found.group()]
            begin = found.end()
        if begin < len(literal):
            yield literal[begin:]

    def is_end(self, token: int) -> bool:
        """Whether the text ends with it: nothing can follow."""
        return token in self._end_tokens

    def within(self, literals: Iterable[str]) -> tuple[int, ...]:
        """Those that must be seen in the text, for the literals to be found."""
        found = {piece for literal in literals for piece in self.pieces(literal) if isinstance(piece, int)}
        return tuple(sorted(found - self._end_tokens))
