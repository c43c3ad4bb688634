"""Importance matrices: how large the inputs of each weight's columns are, in the files that llama.cpp uses."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError, FileFormatError, ShapeMismatchError
from ggml.gguf.limits import LIBLLAMA
from ggml.io.gguf_file import GgufFile, open_gguf

__all__ = ["ImportanceMatrix"]

_SUMS, _COUNTS = ".in_sum2", ".counts"

_MAX_NAME_BYTES = LIBLLAMA.max_tensor_name_bytes - len(_SUMS)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Sums of squares (M, C) and how many rows each of the M matrices has seen (M,)."""

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]

    def means(self) -> NDArray[np.float32]:
        """Mean squares; a matrix that has seen nothing weighs all columns alike."""
        seen = self.counts[:, None]
        return np.where(seen > 0, self.sums / np.maximum(seen, 1), 1.0).astype(np.float32)


class ImportanceMatrix(Mapping[str, NDArray[np.float32]]):
    """Mean squared inputs of weights by name: float32 (M, C), C columns of M matrices (1 unless there are experts).

    ``num_chunks`` and ``chunk_size`` (rows) say what it was made from, ``datasets`` of which files.
    """

    def __init__(self, datasets: tuple[str, ...] = (), num_chunks: int = 0, chunk_size: int = 0) -> None:
        self.datasets, self.num_chunks, self.chunk_size = datasets, num_chunks, chunk_size
        self._entries: dict[str, _Entry] = {}

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self._entries[name].means()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"ImportanceMatrix({len(self)} weights, {self.num_chunks} chunks)"

    def counts(self, name: str) -> NDArray[np.float64]:
        """How many rows each matrix of a weight has seen (M,)."""
        return self._entries[name].counts.copy()

    def add(self, name: str, sums: Any, counts: Any) -> None:
        """Add sums of squares (M, C), or (C,), of ``counts`` rows, to those of a weight."""
        squares = np.atleast_2d(np.asarray(sums, np.float64))
        seen = np.broadcast_to(np.asarray(counts, np.float64), (len(squares),)).copy()
        if squares.ndim != 2 or not np.isfinite(squares).all() or (squares < 0).any():
            raise ArgumentError("ImportanceMatrix", name, "has sums that are negative or not finite")
        if not np.isfinite(seen).all() or (seen < 0).any():
            raise ArgumentError("ImportanceMatrix", name, "has counts that are negative or not finite")
        known = self._entries.get(name)
        if known is not None:
            if known.sums.shape != squares.shape:
                raise ShapeMismatchError("ImportanceMatrix", f"{name} of {known.sums.shape}", squares.shape)
            squares, seen = known.sums + squares, known.counts + seen
        self._entries[name] = _Entry(squares, seen)

    def merge(self, other: ImportanceMatrix) -> ImportanceMatrix:
        """What both have seen, as a new one."""
        both = ImportanceMatrix(
            self.datasets + tuple(name for name in other.datasets if name not in self.datasets),
            self.num_chunks + other.num_chunks,
            self.chunk_size or other.chunk_size,
        )
        for part in (self, other):
            for name, entry in part._entries.items():
                both.add(name, entry.sums, entry.counts)
        return both

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a GGUF as llama.cpp's tools write and read it."""
        from gguf import GGUFWriter

        long = [name for name in self if len(name.encode()) > _MAX_NAME_BYTES]
        if long:
            raise ArgumentError("save", repr(long[0]), f"has more than {_MAX_NAME_BYTES} bytes, as a GGUF can hold")
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.{id(self)}.part")
        try:
            writer = GGUFWriter(part, arch="imatrix")
            writer.add_type("imatrix")
            writer.add_array("imatrix.datasets", list(self.datasets) or ["unknown"])
            writer.add_uint32("imatrix.chunk_count", self.num_chunks)
            writer.add_uint32("imatrix.chunk_size", self.chunk_size)
            for name, entry in sorted(self._entries.items()):
                writer.add_tensor(name + _SUMS, entry.sums.astype(np.float32))
                writer.add_tensor(name + _COUNTS, entry.counts.astype(np.float32)[:, None])
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ImportanceMatrix:
        """Read a file of llama.cpp's imatrix tool, the older format (``.dat``) too. FileFormatError for any other."""
        with open(path, "rb") as file:
            is_gguf = file.read(4) == b"GGUF"
        return cls._of_gguf(open_gguf(path)) if is_gguf else cls._of_old_file(Path(path))

    @classmethod
    def _of_gguf(cls, file: GgufFile) -> ImportanceMatrix:
        names = [tensor.name for tensor in file.tensors]
        weights = [name.removesuffix(_SUMS) for name in names if name.endswith(_SUMS)]
        if not weights or any(name + _COUNTS not in names for name in weights):
            raise FileFormatError(
                str(file.path), "imatrix", "is no importance matrix: it needs NAME.in_sum2 and NAME.counts"
            )
        datasets = file.metadata.get("imatrix.datasets", [])
        result = cls(
            tuple(str(name) for name in datasets) if isinstance(datasets, list) else (),
            _count(file, "imatrix.chunk_count"),
            _count(file, "imatrix.chunk_size"),
        )
        for name in weights:
            sums, counts = _floats(file, name + _SUMS), _floats(file, name + _COUNTS)
            if not counts.size or sums.size % counts.size:
                raise FileFormatError(str(file.path), name, f"has {sums.size} sums of {counts.size} matrices")
            result._add_from(file.path, name, sums.reshape(counts.size, -1), counts)
        return result

    def _add_from(self, path: Path, name: str, sums: NDArray[Any], counts: NDArray[Any]) -> None:
        try:
            self.add(name, sums, counts)
        except ArgumentError as error:
            raise FileFormatError(str(path), "imatrix", f"is damaged: {error}") from None

    @classmethod
    def _of_old_file(cls, path: Path) -> ImportanceMatrix:
        """Entries of name, calls, and mean squares times calls; then, in later versions, chunks and dataset."""
        reader = _OldReader(path)
        result = cls()
        for _ in range(reader.integer(1, 1 << 20)):
            name = reader.text(reader.integer(1, 1 << 16))
            calls = reader.integer(0, 1 << 31)
            sums = reader.floats(reader.integer(1, 1 << 28))
            result._add_from(path, name, sums[None], np.array([calls or 1]))
        if reader.has_more():
            result.num_chunks = reader.integer(0, 1 << 31)
        if reader.has_more():
            result.datasets = (reader.text(reader.integer(0, 1 << 16)),)
        return result


def _count(file: GgufFile, key: str) -> int:
    value = file.metadata.get(key, 0)
    return value if isinstance(value, int) else 0


def _floats(file: GgufFile, name: str) -> NDArray[np.float32]:
    if file.find(name).type != "f32":
        raise FileFormatError(str(file.path), name, f"is {file.find(name).type}, expected f32")
    return file.load(name).numpy().reshape(-1)


class _OldReader:
    """Little-endian values, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path, self._raw, self._place = path, path.read_bytes(), 0

    def has_more(self) -> bool:
        return self._place < len(self._raw)

    def _take(self, num_bytes: int) -> bytes:
        part = self._raw[self._place : self._place + num_bytes]
        if len(part) != num_bytes:
            raise FileFormatError(str(self._path), "imatrix", "is no importance matrix, or is cut short")
        self._place += num_bytes
        return part

    def integer(self, low: int, high: int) -> int:
        value: int = struct.unpack("<i", self._take(4))[0]
        if not low <= value < high:
            raise FileFormatError(
                str(self._path), "imatrix", f"is no importance matrix: {value} where {low}..{high - 1} is expected"
            )
        return value

    def text(self, num_bytes: int) -> str:
        return self._take(num_bytes).decode(errors="replace")

    def floats(self, count: int) -> NDArray[np.float32]:
        return np.frombuffer(self._take(4 * count), "<f4").astype(np.float32)
