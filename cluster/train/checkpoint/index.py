"""The index of a checkpoint: which file has which elements. It is read as hostile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.train.checkpoint.pieces import Whole
from ggml.core.errors import FileFormatError
from ggml.core.node import MAX_RANK
from ggml.io.nested import load_nested, save_nested

NAME = "index.gguf"
FORMAT = 1
PART = re.compile(r"part-[0-9a-f]{16}-\d{5}\.gguf")


@dataclass(frozen=True, slots=True)
class Place:
    """Elements [begin, end) of a tensor lie in `file`, under the tensor's path."""

    file: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Index:
    """`tensors`: by path, the whole and its places in order, without gaps. `values`: plain ones, by path."""

    tensors: dict[str, tuple[Whole, list[Place]]]
    values: dict[str, Any]

    def write(self, folder: Path) -> None:
        """The file is there whole or not at all. OSError."""
        listed = {
            path: [list(whole.shape), whole.dtype, [[one.file, one.begin, one.end] for one in places]]
            for path, (whole, places) in self.tensors.items()
        }
        save_nested({"format": FORMAT, "tensors": listed, "values": self.values}, folder / NAME)


def part_name(number: str, rank: int) -> str:
    """The file of a rank; `number` is drawn anew for each save, so that no save writes over another one's files."""
    return f"part-{number}-{rank:05d}.gguf"


def read_index(folder: Path) -> Index:
    """FileNotFoundError where there is none, FileFormatError where it is damaged or not one of ours."""
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file: the folder holds no complete checkpoint")
    match load_nested(path):
        case {"format": int(form), "tensors": dict(listed), "values": dict(values)} if form == FORMAT:
            return Index({str(name): _entry(path, str(name), entry) for name, entry in listed.items()}, values)
    raise FileFormatError(str(path), "format", f"is none of checkpoints of format {FORMAT}")


def _entry(path: Path, name: str, entry: Any) -> tuple[Whole, list[Place]]:
    match entry:
        case [[*shape], str(dtype), [*listed]] if len(shape) <= MAX_RANK and all(_is_size(one) for one in shape):
            whole = Whole(tuple(shape), dtype)
            places = [_place(path, name, one) for one in listed]
        case _:
            raise FileFormatError(str(path), name, "has no shape, dtype and places")
    return whole, in_order(path, name, whole, places)


def _place(path: Path, name: str, listed: Any) -> Place:
    match listed:
        case [str(file), begin, end] if PART.fullmatch(file) and _is_size(begin) and _is_size(end) and begin <= end:
            return Place(file, begin, end)
    raise FileFormatError(str(path), name, "has a place that is none")


def in_order(path: Path, name: str, whole: Whole, places: list[Place]) -> list[Place]:
    """The places by where they begin. FileFormatError unless they make up the whole."""
    ordered = sorted(places, key=lambda one: (one.begin, one.end))
    at = 0
    for one in ordered:
        if one.begin != at:
            raise FileFormatError(str(path), name, f"has no element {at} once: a place begins at {one.begin}")
        at = one.end
    if at != whole.numel:
        raise FileFormatError(str(path), name, f"has {at} of {whole.numel} elements")
    return ordered


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48
