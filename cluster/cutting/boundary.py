"""The hidden rows between two layers: which tensors of libllama's graph they are, and how wide."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.cutting.architectures import Architecture
from cluster.cutting.model import Model


@dataclass(frozen=True, slots=True)
class Boundary:
    """In front of `layer`, a row is the rows of `tensors` side by side, each of `part_width` floats.

    The names are those in the graph of the whole model, with "[n]" for the n-th matrix of a tensor that is several.
    Behind them are `num_zero_parts` more, of zeros.
    """

    layer: int
    tensors: tuple[str, ...]
    part_width: int
    num_zero_parts: int = 0


def boundaries(model: Model, layers: Iterable[int]) -> tuple[Boundary, ...]:
    """What goes from slice to slice in front of each of `layers`, 0 not among them."""
    part_width = model.row_width // num_parts(model.row, model.num_layers, model.block_size)
    found = []
    for layer in layers:
        names = entries(model, layer)
        tensors = tuple(name.partition("@")[0] for name in names if name)
        found.append(Boundary(layer, tensors, part_width, len(names) - len(tensors)))
    return tuple(found)


def num_parts(row: Architecture, num_layers: int, block_size: int) -> int:
    """How many parts a row has: as many as the last place to cut needs, whichever place it is at."""
    return row.planes + len(row.inputs[1:]) + len(_blocks_before(num_layers - 1, block_size))


def entries(model: Model, number: int) -> tuple[str, ...]:
    """Where rows enter a file's layer `number`, in the form of `Architecture.inputs`; "" for a part of zeros."""
    first = _planes(model.row, _given_to(model.row, number))
    if not model.block_size:
        return (*first, *model.row.inputs[1:])
    return (*first, *_of_blocks(model, 0, number))


def exits(model: Model, first: int, end: int, output: str) -> tuple[str, ...]:
    """Where the rows of the slice [first, end) leave its graph: `output`, and "" for a part that is handed on."""
    if not model.block_size:
        further = (name.partition("@")[0] if first == 0 else "" for name in model.row.inputs[1:])
        return (*_planes(model.row, output), *further)
    return (*_planes(model.row, output), *_of_blocks(model, first, end))


def _of_blocks(model: Model, first: int, end: int) -> list[str]:
    """What the blocks leave that begin in [first, end); "" for all others that a row has a part for."""
    blocks = _blocks_before(model.num_layers - 1, model.block_size)
    return [_given_to(model.row, layer) if first <= layer < end else "" for layer in blocks]


def _planes(row: Architecture, name: str) -> tuple[str, ...]:
    return (name,) if row.planes == 1 else tuple(f"{name}[{plane}]" for plane in range(row.planes))


def _blocks_before(layer: int, block_size: int) -> range:
    """The first layers of the blocks that begin in front of `layer`."""
    return range(0, layer, block_size) if block_size else range(0)


def _given_to(row: Architecture, layer: int) -> str:
    """The tensor that `layer` reads its rows from."""
    return row.output.format(i=layer - 1, n=layer) if layer else row.inputs[0]
