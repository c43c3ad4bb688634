"""What quantising a file does: heard from libllama's log meanwhile, read from the file at the end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ggml.core.errors import GgmlError
from ggml.gguf.tensor_types import BY_NAME
from ggml.io.gguf_file import GgufFile, GgufTensor
from ggml.quantization.report import table

__all__ = ["FileReport", "TensorChange"]

# [   3/  20] NAME - [  256,   128,     1,     1], type =    f32, converting to q4_K .. size = 0.13 MiB -> 0.02 MiB
# and with a dry run: ..., size = 0.13 MiB -> 0.02 MiB (q4_K). Anything may be logged between the pieces.
_TENSOR = re.compile(r"\[ *(\d+)/ *(\d+)\] (.+?) +- \[[\d, ]+\], type = +\S+, ?(.*)", re.DOTALL)
_SIZE = re.compile(r"size += +\d")
_NEW_TYPE = re.compile(r"converting to (\S+) \.\.|MiB \((\S+)\)")
# warning: NAME - ncols 100 not divisible by 256 (required for type q4_K) -> falling back to q5_0
_MISFIT = re.compile(r"warning: (\S+) +- ncols +(\d+) not divisible by +\d+ \(required for type +(\S+)\)")


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
    _begun: re.Match[str] | None = field(default=None, repr=False)  # the tensor that the log is at
    _heard: str = field(default="", repr=False)  # what was logged since
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
        match = _TENSOR.search(line)
        if match:
            self._begun, self._heard = match, match[4]
        else:
            self._heard += line
        entry = self._known.get(self._begun[3]) if self._begun else None
        if self._begun is None or entry is None or not _SIZE.search(self._heard):
            return None
        found = _NEW_TYPE.search(self._heard)
        after = (found[1] or found[2]).lower() if found else entry.type
        kind = BY_NAME.get(after)
        if kind is None:
            return None
        num_bytes = kind.row_bytes(_num_elements(entry))
        change = self._change(int(self._begun[1]), int(self._begun[2]), entry, after, num_bytes)
        self._begun = None
        self.tensors.append(change)
        return change

    def _change(self, index: int, count: int, entry: GgufTensor, after: str, bytes_after: int) -> TensorChange:
        note = self._notes.get(entry.name, "")
        shape, before, num_bytes = entry.shape, entry.type, entry.num_bytes
        return TensorChange(index, count, entry.name, shape, before, after, num_bytes, bytes_after, note)

    def read_back(self, made: GgufFile) -> None:
        """What the file says that was made, whatever the log said."""
        self.tensors = [
            self._change(index, len(made.tensors), self._known[one.name], one.type, one.num_bytes)
            for index, one in enumerate(made.tensors, 1)
        ]

    def checked(self) -> FileReport:
        """The report of a dry run, if the log spoke of every tensor; GgmlError otherwise."""
        missing = self._known.keys() - {tensor.name for tensor in self.tensors}
        if missing:
            raise GgmlError(f"quantize_file: libllama did not say what becomes of {min(missing)}; leave out dry_run")
        return self

    def __str__(self) -> str:
        rows = [("tensor", "shape", "type", "bytes", "note")]
        for tensor in self.tensors:
            kind = tensor.before if tensor.before == tensor.after else f"{tensor.before} -> {tensor.after}"
            shape = " x ".join(str(extent) for extent in tensor.shape)
            rows.append((tensor.name, shape, kind, f"{tensor.bytes_before} -> {tensor.bytes_after}", tensor.note))
        return table([*rows, ("total", "", self.file_type, f"{self.bytes_before} -> {self.bytes_after}", "")])


def _num_elements(entry: GgufTensor) -> int:
    kind = BY_NAME[entry.type]
    return entry.num_bytes // kind.block_bytes * kind.block_size
