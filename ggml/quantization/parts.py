"""A model's files: one, or the parts of a split one in their order."""

from __future__ import annotations

import os
import re

from ggml.core.errors import FileFormatError
from ggml.io.gguf_file import GgufFile, open_gguf

__all__ = ["open_parts"]

_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_MAX_PARTS = 10_000


def open_parts(path: str | os.PathLike[str]) -> tuple[GgufFile, ...]:
    """The headers of all parts, given the first; FileFormatError where one is no part of it, OSError if missing."""
    first = open_gguf(path)
    count, number = first.metadata.get("split.count", 1), first.metadata.get("split.no", 0)
    if not first.tensors and count in (0, 1):
        raise FileFormatError(str(path), "file", "holds no tensors")
    if not isinstance(count, int) or not 0 <= count <= _MAX_PARTS:
        raise FileFormatError(str(path), "split", f"split.count is {count!r}")
    if count <= 1:
        return (first,)
    if number != 0:
        raise FileFormatError(str(path), "split", f"is part {number} of {count} (counted from 0); name the first part")
    match = _PART.fullmatch(first.path.name)
    if match is None or int(match[2]) != 1 or int(match[3]) != count:
        raise FileFormatError(
            str(path), "split", f"is the first of {count} parts; its name must end with -00001-of-{count:05}.gguf"
        )
    others = [
        open_gguf(first.path.with_name(f"{match[1]}-{place:05}-of-{count:05}.gguf")) for place in range(2, count + 1)
    ]
    for place, part in enumerate(others, 1):
        if part.metadata.get("split.no") != place:
            raise FileFormatError(str(part.path), "split", f"is not part {place} (counted from 0) of {path}")
    return (first, *others)
