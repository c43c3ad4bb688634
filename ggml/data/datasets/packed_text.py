"""Texts of a JSONL file as sequences of equal length, for language models."""

from __future__ import annotations

import json
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError, DTypeError, FileFormatError, IndexOutOfRangeError
from ggml.data.dataset import Dataset
from ggml.data.samplers.sampler import positive

# One line is read into memory before anything can be said of it.
LONGEST_LINE_BYTES = 64 << 20


class PackedText(Dataset[tuple[NDArray[np.int64], NDArray[np.int64]]]):
    """All texts one after the other, cut into pieces of ``sequence_length`` tokens.

    Sample i is a pair of int64 arrays [sequence_length]: the tokens, and for each of them the one that follows. Tokens
    behind the last whole piece are left out. ``tokenizer`` is a function from a text to its tokens, or has ``encode``;
    ``end_token`` is put behind each text. A line is an object with ``field``, a text; empty lines are skipped.
    """

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        tokenizer: Callable[[str], Iterable[int]] | Any,
        sequence_length: int,
        *,
        field: str = "text",
        end_token: int | None = None,
    ) -> None:
        positive("PackedText", "sequence_length", sequence_length)
        encode = getattr(tokenizer, "encode", tokenizer)
        if not callable(encode):
            raise DTypeError("PackedText", "a function or an object with encode as tokenizer", type(tokenizer).__name__)
        self.sequence_length = sequence_length
        tokens = array("q")  # grows in place, 8 bytes a token
        for path in [paths] if isinstance(paths, (str, Path)) else paths:
            for text in texts(path, field):
                _extend(tokens, encode(text))
                if end_token is not None:
                    tokens.append(end_token)
        self.tokens: NDArray[np.int64] = np.frombuffer(tokens, np.int64) if tokens else np.empty(0, np.int64)

    def __len__(self) -> int:
        return max(0, (len(self.tokens) - 1) // self.sequence_length)

    def __getitem__(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexOutOfRangeError("PackedText", f"index {index} is outside of {len(self)} sequences")
        begin, end = place * self.sequence_length, (place + 1) * self.sequence_length
        return self.tokens[begin:end], self.tokens[begin + 1 : end + 1]


def _extend(tokens: array[int], found: Any) -> None:
    ids = getattr(found, "ids", found)  # the tokenizers library answers with an object that has them
    try:
        tokens.extend(operator.index(one) for one in ids)
    except (TypeError, OverflowError) as error:
        raise ArgumentError("PackedText", "tokenizer", f"gave something else than integers: {error}") from None


def texts(path: str | Path, field: str = "text") -> Iterator[str]:
    """The texts of a JSONL file. FileFormatError names the first line that has none."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE_BYTES + 1):
            number += 1
            if len(line) > LONGEST_LINE_BYTES:
                raise FileFormatError(str(path), f"line {number}", f"is longer than {LONGEST_LINE_BYTES} bytes")
            if line.isspace():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FileFormatError(str(path), f"line {number}", f"is no JSON: {error}") from None
            text = found.get(field) if isinstance(found, dict) else None
            if not isinstance(text, str):
                raise FileFormatError(str(path), f"line {number}", f"is no object with a text as {field!r}")
            yield text
