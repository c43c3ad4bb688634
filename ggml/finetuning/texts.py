"""Texts to learn from: JSON lines or plain text, as tokens of the model's own vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import FileFormatError
from ggml.tokenizers.reading import read_tokenizer
from ggml.tokenizers.vocabulary import vocabulary_of
from worker_native import Vocab

#: The target of a token that is read and not learned.
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Example:
    """A row: ``tokens`` [T] and, for each, what comes next, or IGNORED where that is not learned."""

    tokens: NDArray[np.int32]
    targets: NDArray[np.int32]


class Texts:
    """Makes examples of at most ``length`` tokens with the vocabulary of a model's file.

    FileFormatError for a file without a vocabulary that can be used.
    """

    def __init__(self, model: str, length: int) -> None:
        self._length = length
        try:
            self._vocab: Vocab = vocabulary_of(read_tokenizer(model))
        except (ValueError, RuntimeError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(model, "tokenizer.ggml", str(error)) from error

    def read(self, path: str) -> list[Example]:
        """The examples of a file, in order. FileFormatError, which names the line, for what cannot be learned from."""
        found = list(self._rows(path))
        if not found:
            raise FileFormatError(path, "data", "there is no text in it; give at least one of two tokens")
        return found

    def of_text(self, text: str) -> list[Example]:
        """A text with its beginning and end. One that is longer than a row is cut, and goes on in the next one."""
        return self._cut(self._ended(self._vocab.tokenize(text, True, True).tolist()))

    def of_answer(self, prompt: str, completion: str) -> list[Example]:
        """A completion that is learned, after a prompt that is read only. Not cut: it may be longer than a row."""
        before = self._vocab.tokenize_pieces([(prompt, True)], True).tolist()
        tokens = self._ended(self._vocab.tokenize_pieces([(prompt, True), (completion, True)], True).tolist())
        num_read = next((at for at, (a, b) in enumerate(zip(before, tokens, strict=False)) if a != b), len(before))
        return [_example(tokens, num_read)] if len(tokens) > max(num_read, 1) else []

    def _ended(self, tokens: list[int]) -> list[int]:
        eos = self._vocab.eos
        if eos is None or (tokens and tokens[-1] in self._vocab.end_tokens):
            return tokens
        return [*tokens, eos]

    def _cut(self, tokens: list[int]) -> list[Example]:
        # The last target of a row is the first token of the next one.
        starts = range(0, max(len(tokens) - 1, 0), self._length)
        return [_example(tokens[first : first + self._length + 1], 0) for first in starts]

    def _rows(self, path: str) -> Iterator[Example]:
        if Path(path).suffix not in (".jsonl", ".json"):
            text = _decoded(path, Path(path).read_bytes(), "data")
            if text.strip():
                yield from self._made(path, "data", {"text": text})
            return
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                where = f"line {number}"
                line = _decoded(path, raw, where)
                if line.strip():
                    yield from self._made(path, where, _parsed(path, line, where))

    def _made(self, path: str, where: str, fields: dict[str, str]) -> list[Example]:
        try:
            if "text" in fields:
                found = self.of_text(fields["text"])
            else:
                found = self.of_answer(fields["prompt"], fields["completion"])
        except (ValueError, RuntimeError) as error:  # what the vocabulary cannot spell
            raise FileFormatError(path, where, f"cannot be tokenised: {error}") from error
        longest = max((len(one.tokens) for one in found), default=0)
        if longest > self._length:
            why = f"prompt and completion have {longest} tokens, more than --sequence-length {self._length}"
            raise FileFormatError(path, where, f"{why}; raise it, or shorten the prompt")
        return found


def _example(tokens: list[int], num_read: int) -> Example:
    """``num_read`` tokens at the beginning are no targets."""
    row = np.array(tokens, np.int32)
    targets = row[1:].copy()
    targets[: max(num_read - 1, 0)] = IGNORED
    return Example(row[:-1], targets)


def _decoded(path: str, raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileFormatError(path, where, "is not UTF-8; convert it") from None


def _parsed(path: str, line: str, where: str) -> dict[str, str]:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise FileFormatError(path, where, "is no JSON; write one object a line") from None
    for fields in (("text",), ("prompt", "completion")):
        if isinstance(found, dict) and all(isinstance(found.get(name), str) for name in fields):
            return {name: found[name] for name in fields}
    why = 'must be {"text": "..."} or {"prompt": "...", "completion": "..."}'
    raise FileFormatError(path, where, why)
