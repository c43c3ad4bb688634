"""The tokenizer of a file: a GGUF, or a ``tokenizer.json``."""

from __future__ import annotations

from pathlib import Path

from ggml.core.errors import FileFormatError
from ggml.gguf.value import MetadataValue
from ggml.io.mapped import open_header
from ggml.tokenizers.keys import MODEL, tokenizer_keys


def read_tokenizer(path: str) -> dict[str, MetadataValue]:
    """Its keys. FileFormatError for a file that has none, or that is not sound; OSError where it cannot be opened.

    ArgumentError for a ``tokenizer.json`` without the package tokenizers.
    """
    if Path(path).suffix == ".json":
        from ggml.tokenizers.converting import converted

        return converted(Path(path))
    keys = tokenizer_keys(open_header(path).metadata)
    if not keys:
        raise FileFormatError(path, MODEL, "is not there: the file has no tokenizer")
    return keys
