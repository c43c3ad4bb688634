"""A GGUF file in memory: its header, which is sound, and where each tensor lies.

Files are opened here, and only here: what the reader finds wrong with one leaves this module as a FileFormatError.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass

from ggml.core.errors import FileFormatError
from ggml.gguf.errors import GgufError
from ggml.gguf.header import Header
from ggml.gguf.limits import GGUF_PY
from ggml.gguf.mapped import map_file
from ggml.gguf.reader import parse_header
from ggml.io.listed import Listed, listed


@dataclass(frozen=True, slots=True)
class Mapped(Listed):
    """The same, with the bytes of the file."""

    data: mmap.mmap


def open_mapped(path: str, access: int) -> Mapped:
    """A file with its header, checked to the last field. ``access`` is one of mmap's.

    FileFormatError for one that is not sound, or has elements of a type without dtype; OSError where it cannot be
    opened.
    """
    header, data = _opened(path, access)
    return Mapped(header, listed(header).tensors, data)


def open_header(path: str) -> Header:
    """The header of a file alone, whatever types its tensors have. Errors as for ``open_mapped``."""
    return _opened(path, mmap.ACCESS_READ)[0]


def _opened(path: str, access: int) -> tuple[Header, mmap.mmap]:
    try:
        file = map_file(path, access)
        header = parse_header(memoryview(file.data), path, len(file.data), file.mtime_ns, GGUF_PY)
    except GgufError as error:
        raise FileFormatError(error.path, error.field, error.why) from error
    return header, file.data
