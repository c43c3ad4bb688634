"""What quantising a file does, heard from libllama's log line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ggml.gguf_file import GgufFile, GgufTensor
from ggml.quantization.report import table
from worker_native import ggml_types

__all__ = ["FileReport", "TensorChange"]

# [   3/  20] NAME - [  256,   128,     1,     1], type =    f32, converting to q4_K .. size = 0.13 MiB -> 0.02 MiB
# and with a dry run: ..., size = 0.13 MiB -> 0.02 MiB (q4_K)
_TENSOR = re.compile(r"\[ *(\d+)/ *(\d+)\] (.+?) +- \[[\d, ]+\], type = +\S+, (.*)")
_NEW_TYPE = re.compile(r"converting to (\S+) \.\.|MiB \((\S+)\)")
# warning: NAME - ncols 100 not divisible by 256 (required for type q4_K) -> falling back to q5_0
_MISFIT = re.compile(r"warning: (\S+) +- ncols +(\d+) not divisible by +\d+ \(required for type +(\S+)\)")

_SIZES = {name.lower(): (block, num_bytes) for name, _, block, num_bytes, _ in ggml_types()}


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor: number ``index`` of ``count``, from 1. Types by ggml's names. ``note`` says why it is another
    type than the kind of file asks for."""

    index: int
    count: int
    name: str
    shape: tuple[int, ...]
    before: str
    after: str
    bytes_before: int
    bytes_after: int
    note: str = ""


@dataclass(slots=True)
class FileReport:
    """All tensors in the order of the file that was made. Prints as a table."""

    source: Path
    target: Path
    file_type: str
    parts: tuple[GgufFile, ...] = field(repr=False, default=())
    tensors: list[TensorChange] = field(default_factory=list)
    _notes: dict[str, str] = field(default_factory=dict, repr=False)
    _known: dict[str, GgufTensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._known = {tensor.name: tensor for part in self.parts for tensor in part.tensors}

    @property
    def bytes_before(self) -> int:
        return sum(tensor.bytes_before for tensor in self.tensors)

    @property
    def bytes_after(self) -> int:
        return sum(tensor.bytes_after for tensor in self.tensors)

    def hear(self, line: str) -> TensorChange | None:
        """Take in a line of the log; the tensor that it is about, if it is about one that is done."""
        misfit = _MISFIT.search(line)
        if misfit:
            self._notes[misfit[1]] = f"rows of {misfit[2]} do not fit {misfit[3].lower()}"
        match = _TENSOR.match(line)
        entry = self._known.get(match[3]) if match else None
        if match is None or entry is None:
            return None
        found = _NEW_TYPE.search(match[4])
        after = (found[1] or found[2]).lower() if found else entry.type
        block, block_bytes = _SIZES[after]
        num_elements = entry.num_bytes // _SIZES[entry.type][1] * _SIZES[entry.type][0]
        change = TensorChange(
            int(match[1]),
            int(match[2]),
            entry.name,
            entry.shape,
            entry.type,
            after,
            entry.num_bytes,
            num_elements // block * block_bytes,
            self._notes.get(entry.name, ""),
        )
        self.tensors.append(change)
        return change

    def __str__(self) -> str:
        rows = [("tensor", "shape", "type", "bytes", "note")]
        for tensor in self.tensors:
            kind = tensor.before if tensor.before == tensor.after else f"{tensor.before} -> {tensor.after}"
            shape = " x ".join(str(extent) for extent in tensor.shape)
            rows.append((tensor.name, shape, kind, f"{tensor.bytes_before} -> {tensor.bytes_after}", tensor.note))
        return table([*rows, ("total", "", self.file_type, f"{self.bytes_before} -> {self.bytes_after}", "")])
