"""From texts to tokens and back: a GGUF's vocabulary, or a ``tokenizer.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Protocol

from ggml.core.errors import DTypeError, FileFormatError
from ggml.gguf.value import MetadataValue
from ggml.sampling.detokenizer import Detokenizer
from ggml.tokenizers.beside import end_tokens as ends_beside
from ggml.tokenizers.json_file import decode_stream, open_json
from ggml.tokenizers.reading import read_tokenizer
from ggml.tokenizers.vocabulary import vocabulary_of
from worker_native import Vocab


class Pieces(Protocol):
    """The text of tokens, as they come: whole characters."""

    def push(self, token: int) -> str: ...
    def flush(self) -> str:
        """What was held back. Nothing may be pushed after it."""


class Tokenizer(Protocol):
    """What generation asks of a tokenizer."""

    @property
    def end_tokens(self) -> Set[int]:
        """Those that end a text."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a prompt, with what the model wants at its beginning."""

    def pieces(self) -> Pieces: ...
    def token_bytes(self) -> list[bytes]:
        """What each token adds to a text, for ``dry_sequence_breakers``."""


def tokenizer_for(model: Any, given: Any) -> Tokenizer | None:
    """The tokenizer that was given, else that of the model's own file, if it has one. Errors as below."""
    if given is not None:
        return tokenizer_of(given)
    keys = getattr(model, "tokenizer", None)
    return GgufTokenizer("the program", keys) if isinstance(keys, Mapping) and keys else None


def tokenizer_of(given: Any) -> Tokenizer:
    """A tokenizer, or that of a file. DTypeError for anything else."""
    if isinstance(given, (str, os.PathLike)):
        path = Path(given)
        return JsonTokenizer(path) if path.suffix == ".json" else GgufTokenizer(path)
    if not all(hasattr(given, name) for name in ("end_tokens", "encode", "pieces", "token_bytes")):
        wanted = "the path of a GGUF file or of a tokenizer.json, or an object that has what Tokenizer lists"
        raise DTypeError("generate", wanted, type(given).__name__)
    found: Tokenizer = given
    return found


class GgufTokenizer:
    """The vocabulary that a GGUF file has keys for. FileFormatError, which names the file, for one that is no good."""

    def __init__(self, path: str | os.PathLike[str], keys: Mapping[str, MetadataValue] | None = None) -> None:
        """``keys``: those of the file, where they are known."""
        name = str(path)
        keys = read_tokenizer(name) if keys is None else keys
        try:
            self._vocab = vocabulary_of(keys)
        except (ValueError, RuntimeError) as error:
            raise FileFormatError(name, "tokenizer.ggml", str(error)) from error

    @property
    def end_tokens(self) -> Set[int]:
        return self._vocab.end_tokens

    def encode(self, text: str) -> list[int]:
        found: list[int] = self._vocab.tokenize(text).tolist()
        return found

    def pieces(self) -> Pieces:
        return _Bytes(self._vocab)

    def token_bytes(self) -> list[bytes]:
        return [self._vocab.token_bytes(token) for token in range(self._vocab.num_tokens)]


class _Bytes:
    def __init__(self, vocab: Vocab) -> None:
        self._vocab, self._detokenizer = vocab, Detokenizer()

    def push(self, token: int) -> str:
        return self._detokenizer.push(self._vocab.token_bytes(token))

    def flush(self) -> str:
        return self._detokenizer.flush()


class JsonTokenizer:
    """A ``tokenizer.json``, read by the package tokenizers: ``pip install 'ggml-cluster[tokenizers]'``.

    The file does not say which tokens end a text: unless ``end_tokens`` does, a ``generation_config.json`` or a
    ``config.json`` beside it is asked for its ``eos_token_id``.
    """

    def __init__(self, path: str | os.PathLike[str], end_tokens: Set[int] | None = None) -> None:
        name = Path(path)
        self._inner = open_json(name, "generate")
        self.end_tokens: Set[int] = frozenset(ends_beside(name)) if end_tokens is None else end_tokens

    def encode(self, text: str) -> list[int]:
        found: list[int] = self._inner.encode(text).ids
        return found

    def pieces(self) -> Pieces:
        return _Stream(self._inner)

    def token_bytes(self) -> list[bytes]:
        return [self._inner.decode([token]).encode() for token in range(self._inner.get_vocab_size())]


class _Stream:
    def __init__(self, inner: Any) -> None:
        self._inner, self._stream = inner, decode_stream()
        self._held: list[int] = []  # tokens that have completed no character yet

    def push(self, token: int) -> str:
        text: str | None = self._stream.step(self._inner, token)
        self._held = [] if text else [*self._held, token]
        return text or ""

    def flush(self) -> str:
        text: str = self._inner.decode(self._held) if self._held else ""
        return text
