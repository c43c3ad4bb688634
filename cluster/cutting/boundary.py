"""The hidden rows between two layers: which tensors of libllama's graph they are, and how wide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.cutting.architectures import Architecture
from cluster.cutting.model import Model


@dataclass(frozen=True, slots=True)
class Boundary:
    """In front of `layer`, a row is the rows of `tensors` side by side, each of `part_width` floats.

    The names are those in the graph of the whole model.
    """

    layer: int
    tensors: tuple[str, ...]
    part_width: int


def boundaries(model: Model, layers: Iterable[int]) -> tuple[Boundary, ...]:
    """What goes from slice to slice in front of each of `layers`, 0 not among them."""
    part_width = model.row_width // len(model.row.inputs)
    names = {layer: tuple(name.partition("@")[0] for name in entries(model.row, layer)) for layer in layers}
    return tuple(Boundary(layer, tensors, part_width) for layer, tensors in names.items())


def entries(row: Architecture, number: int) -> tuple[str, ...]:
    """Where rows enter a file's layer `number`, in the form of `Architecture.inputs`."""
    if number == 0:
        return row.inputs
    return (row.output.format(i=number - 1, n=number), *row.inputs[1:])
