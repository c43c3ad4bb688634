"""Where bytes of a model can be read: a file, a stored slice; further ones are in `cluster.sources`."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from cluster.api.errors import ModelFileError
from cluster.cutting.cut import SlicePlan
from cluster.store.fingerprint import Range, open_source
from ggml.gguf.encode import aligned

READ_BYTES = 1 << 20


class Origin(Protocol):
    """A holder of some bytes of a model. `read` may be called by several threads at once."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def is_local(self) -> bool:
        """Whether its bytes are on this node's disk."""

    @property
    def covers(self) -> Sequence[Range]:
        """The ranges of the model that it has, in order."""

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        """All bytes [begin, end) of the model, in chunks. Both ends lie in `covers`; gaps in it read as zeros.

        UnreachableError where it cannot give them any more, ModelFileError where it is not what it was.
        """


@dataclass(frozen=True, slots=True)
class FileOrigin:
    """A GGUF, or one part of one, whose first byte is byte `start` of the model."""

    path: str
    size_bytes: int
    mtime_ns: int
    start: int = 0
    is_local: bool = True

    @property
    def name(self) -> str:
        return self.path

    @property
    def covers(self) -> tuple[Range, ...]:
        return ((self.start, self.start + self.size_bytes),)

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        """ModelFileError if the file changed after its header was read."""
        descriptor = open_source(self.path)
        try:
            status = os.fstat(descriptor)
            if (status.st_size, status.st_mtime_ns) != (self.size_bytes, self.mtime_ns):
                raise ModelFileError(f"{self.path}: file: changed after its header was read; try again")
            yield from read_range(descriptor, begin - self.start, end - self.start, self.path)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes [begin, end) of the model, which stand at `offset` of a file."""

    begin: int
    end: int
    offset: int


@dataclass(frozen=True, slots=True)
class SliceOrigin:
    """A stored slice of the same model, whose layers another slice wants too."""

    path: str
    spans: tuple[Span, ...]  # in the model's order
    is_local: bool = True

    @property
    def name(self) -> str:
        return self.path

    @property
    def covers(self) -> tuple[Range, ...]:
        return tuple((span.begin, span.end) for span in self.spans)

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        """ModelFileError where the slice is gone."""
        descriptor = open_source(self.path)

        def read_span(span: Span, first: int, last: int) -> Iterator[bytes]:
            return read_range(descriptor, span.offset + first, span.offset + last, self.path)

        try:
            yield from read_across(self.spans, begin, end, read_span)
        finally:
            os.close(descriptor)


def slice_origin(path: Path, plan: SlicePlan) -> SliceOrigin | None:
    """The slice file at `path`, if it is the one that `plan` describes."""
    with path.open("rb") as file:
        if file.read(len(plan.header_bytes)) != plan.header_bytes:
            return None
    spans, offset = [], len(plan.header_bytes)
    for info in plan.tensors:
        if info.source_offset is not None and not info.source_row_bytes:  # some columns are of no use to others
            spans.append(Span(info.source_offset, info.source_offset + info.size_bytes, offset))
        offset += aligned(info.size_bytes)
    return SliceOrigin(str(path), tuple(sorted(spans, key=lambda span: span.begin)))


class Held(Protocol):
    """Bytes [begin, end) of the model, in one piece somewhere."""

    @property
    def begin(self) -> int: ...
    @property
    def end(self) -> int: ...


AnyHeld = TypeVar("AnyHeld", bound=Held)


def read_across(
    held: Sequence[AnyHeld], begin: int, end: int, read: Callable[[AnyHeld, int, int], Iterator[bytes]]
) -> Iterator[bytes]:
    """Bytes [begin, end) of the model, of which `held` has some, in order; what lies between reads as zeros.

    `read(item, first, last)` gives bytes [first, last) of an item, counted from its own start.
    """
    index = max(0, bisect_right(held, begin, key=lambda item: item.begin) - 1)
    while begin < end:
        item = held[index] if index < len(held) else None
        if item is None or item.begin >= end:
            yield bytes(end - begin)
            return
        if item.end > begin:
            yield bytes(max(0, item.begin - begin))
            begin = max(begin, item.begin)
            yield from read(item, begin - item.begin, min(end, item.end) - item.begin)
            begin = min(end, item.end)
        index += 1


def read_range(descriptor: int, begin: int, end: int, name: str) -> Iterator[bytes]:
    """Bytes [begin, end) of an open file; ModelFileError where it is shorter."""
    while begin < end:
        chunk = os.pread(descriptor, min(READ_BYTES, end - begin), begin)
        if not chunk:
            raise ModelFileError(f"{name}: file: truncated while it was read; try again")
        yield chunk
        begin += len(chunk)
