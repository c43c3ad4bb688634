"""What quantising tensors did: sizes and errors, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ggml.core.dtypes import DType

__all__ = ["Report", "TensorReport", "table"]


@dataclass(frozen=True, slots=True)
class TensorReport:
    """One tensor. ``rmse`` and ``max_error`` compare with the elements before, in their own unit; None if the
    tensor was left as it was. ``note`` says why it was left or took another type."""

    name: str
    shape: tuple[int, ...]
    before: DType
    after: DType
    bytes_before: int
    bytes_after: int
    rmse: float | None = None
    max_error: float | None = None
    note: str = ""

    @property
    def is_changed(self) -> bool:
        return self.before is not self.after


@dataclass(frozen=True, slots=True)
class Report:
    """All tensors that were looked at. Prints as a table."""

    tensors: tuple[TensorReport, ...] = field(default=())

    @property
    def bytes_before(self) -> int:
        return sum(tensor.bytes_before for tensor in self.tensors)

    @property
    def bytes_after(self) -> int:
        return sum(tensor.bytes_after for tensor in self.tensors)

    @property
    def changed(self) -> tuple[TensorReport, ...]:
        """The tensors that have another type now."""
        return tuple(tensor for tensor in self.tensors if tensor.is_changed)

    def __str__(self) -> str:
        head = ("tensor", "shape", "type", "bytes", "rmse", "max error", "note")
        total = ("total", "", f"{len(self.changed)} of {len(self.tensors)}", _bytes(self), "", "", "")
        return table([head, *[_row(tensor) for tensor in self.tensors], total])


def _row(tensor: TensorReport) -> tuple[str, ...]:
    kind = f"{tensor.before.name} -> {tensor.after.name}" if tensor.is_changed else tensor.before.name
    errors = ["" if number is None else f"{number:.3g}" for number in (tensor.rmse, tensor.max_error)]
    shape = " x ".join(str(extent) for extent in tensor.shape)
    return (tensor.name, shape, kind, _bytes(tensor), *errors, tensor.note)


def _bytes(part: TensorReport | Report) -> str:
    if part.bytes_before == part.bytes_after:
        return str(part.bytes_before)
    return f"{part.bytes_before} -> {part.bytes_after}"


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of equal length as columns of equal width."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
