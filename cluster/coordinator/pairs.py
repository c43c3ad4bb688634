"""A query and a document as one text: what a model that ranks is given."""

from __future__ import annotations

import os
import re

from cluster.api.prompt import Segment, Segments
from cluster.coordinator.tokenizing.tokenizer import Tokenizer
from cluster.cutting.header import Header, read_header
from ggml.gguf.value import ValueType

TEMPLATE = "tokenizer.chat_template.rerank"
_WORDPIECE = 3  # libllama's number of such vocabularies, which put a token in front of a text without saying so
_PLACES = re.compile(r"(\{query\}|\{document\})")


class Pairs:
    """As the model's own template says, or else both texts with the tokens that belong around a text.

    Names of control tokens in a query or a document stay text.
    """

    def __init__(self, path: str | os.PathLike[str], tokenizer: Tokenizer) -> None:
        """`path`: a file with the model's metadata."""
        header = read_header(path)
        self._tokenizer = tokenizer
        self._template = header.get(TEMPLATE, ValueType.STRING)
        self._between = _separators(header)
        self._around: tuple[list[int], list[int]] | None = None  # once it is known

    async def tokens(self, client: str, field: str, query: str, document: str) -> list[int]:
        """Token ids of a pair that `client` gave as `field`."""
        if isinstance(self._template, str):
            return await self._tokenizer.tokenize(client, field, self._filled(self._template, query, document), False)
        if self._around is None:
            self._around = await self._find_around(client)
        begin, end = self._around
        found = list(begin)
        for index, text in enumerate((query, document)):
            found += self._between if index else []
            found += await self._tokenizer.tokenize(client, field, (Segment(text),), False)
            found += end
        return found

    @staticmethod
    def _filled(template: str, query: str, document: str) -> Segments:
        given = {"{query}": query, "{document}": document}
        parts = [part for part in _PLACES.split(template) if part]
        return tuple(Segment(given[part]) if part in given else Segment(part, True) for part in parts)

    async def _find_around(self, client: str) -> tuple[list[int], list[int]]:
        """What an empty text gets in front and behind."""
        around = list(await self._tokenizer.tokenize(client, "text", (Segment(""),), True))
        table = self._tokenizer.table
        num_begin = int(bool(around) and (table.adds_bos or table.vocab_type == _WORDPIECE))
        return around[:num_begin], around[num_begin:]


def _separators(header: Header) -> list[int]:
    """What is between the end of the first text and the second one."""
    if header.get("tokenizer.ggml.add_sep_token", ValueType.BOOL) is not True:
        return []
    separator = header.get("tokenizer.ggml.seperator_token_id", ValueType.UINT32)  # GGUF spells it so
    return [separator] if isinstance(separator, int) else []
