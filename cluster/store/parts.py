"""Models split into several files, as gguf-split writes them: NAME-00001-of-00003.gguf and so on.

The parts are seen as one file: their bytes laid end to end. So a tensor's offset leads into the part it is in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from cluster.api.errors import ModelFileError, UsageError
from cluster.cutting.header import Header, num_parts_of
from cluster.store.fingerprint import portable_metadata
from ggml.gguf.header import TensorInfo

MAX_PARTS = 1000
_PART_NAME = re.compile(r"(.*)-([0-9]{5})-of-([0-9]{5})\.gguf", re.DOTALL | re.IGNORECASE)


def part_names(first: str) -> tuple[str, ...]:
    """The names (paths, URLs without a query) of all parts, `first` among them; itself where it is no part.

    UsageError where `first` is not the first part, or no such count is possible.
    """
    match = _PART_NAME.fullmatch(first)
    if match is None:
        return (first,)
    stem, suffix = match[1], first[-5:]
    number, count = int(match[2]), int(match[3])
    if not 1 <= number <= count <= MAX_PARTS:
        raise UsageError(f"{first}: part {number} of {count} is not possible; a model has 1 to {MAX_PARTS} parts")
    if number != 1:
        raise UsageError(f"{first}: part {number} of {count}; name the first part, {stem}-00001-of-{match[3]}{suffix}")
    return tuple(f"{stem}-{index:05}-of-{match[3]}{suffix}" for index in range(1, count + 1))


def merge_parts(headers: Sequence[Header]) -> Header:
    """The header of the whole model from those of its parts, in order.

    A part after the first needs no metadata of its own; what it has must agree. ModelFileError names the part
    that is not one of this model, or the tensor that is missing or there twice.
    """
    first = headers[0]
    if len(headers) == 1 and num_parts_of(first) == 1:
        return first
    for index, header in enumerate(headers):
        _check_part(first, header, index, len(headers))
    tensors = tuple(_all_tensors(headers))
    _check_tensors(first, tensors)
    return replace(
        first,
        metadata=portable_metadata(first),
        tensors=tensors,
        file_size_bytes=sum(header.file_size_bytes for header in headers),
        mtime_ns=max(header.mtime_ns for header in headers),
    )


def part_starts(sizes: Sequence[int]) -> tuple[int, ...]:
    """Where each part begins when all are laid end to end."""
    return tuple(accumulate(sizes, initial=0))[:-1]


def _check_part(first: Header, header: Header, index: int, count: int) -> None:
    if num_parts_of(header) != count:
        raise header.error("split.count", f"{num_parts_of(header)}, but there are {count} files")
    number = header.metadata.get("split.no")
    if number is None or number.value != index:
        found = "missing" if number is None else f"{number.value!r}"
        raise header.error("split.no", f"{found}, must be {index}: the files are not in order, or mixed up")
    for key, value in portable_metadata(header).items():
        if first.metadata.get(key) != value:
            raise header.error(ascii(key), f"differs from that of {first.path}; the parts are of different models")


def _all_tensors(headers: Sequence[Header]) -> list[TensorInfo]:
    data_start = headers[0].data_start
    found: dict[str, TensorInfo] = {}
    for header, start in zip(headers, part_starts([part.file_size_bytes for part in headers]), strict=True):
        for info in header.tensors:
            if info.name in found:
                raise header.error(f"tensor {info.name!a}", "in an earlier part too; the parts are mixed up")
            found[info.name] = replace(info, offset=start + header.data_start + info.offset - data_start)
    return list(found.values())


def _check_tensors(first: Header, tensors: Sequence[TensorInfo]) -> None:
    expected = first.metadata.get("split.tensors.count")
    if expected is not None and expected.value != len(tensors):
        raise ModelFileError(
            f"{first.path}: split.tensors.count: {expected.value!r}, but the parts hold {len(tensors)} tensors; "
            "download them again"
        )
