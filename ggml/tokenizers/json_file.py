"""A ``tokenizer.json``, read by the package tokenizers: ``pip install 'ggml-cluster[tokenizers]'``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ggml.core.errors import ArgumentError, FileFormatError

# A vocabulary of 256,000 tokens has 35 MB.
_MAX_JSON_BYTES = 256 << 20


def open_json(path: Path, op: str) -> Any:
    """A ``tokenizers.Tokenizer``. FileFormatError for a file that is none; ArgumentError, which names ``op``, where the
    package is missing."""
    try:
        import tokenizers
    except ImportError:
        why = "needs the package tokenizers: pip install 'ggml-cluster[tokenizers]'"
        raise ArgumentError(op, "tokenizer.json", why) from None
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise FileFormatError(str(path), "size", f"is over {_MAX_JSON_BYTES} bytes")
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # whatever the library makes of a file that is no tokenizer
        raise FileFormatError(str(path), "tokenizer", str(error)) from error


def decode_stream() -> Any:
    """What makes whole characters of tokens, as they come: a ``tokenizers.decoders.DecodeStream``."""
    from tokenizers.decoders import DecodeStream

    return DecodeStream(skip_special_tokens=True)
