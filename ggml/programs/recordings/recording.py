"""Making a recording: the graph on placeholders, as every first call does, and where its memory comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.memory import outside
from ggml.programs.graph import Graph, Input, Role
from ggml.programs.recordings.recorded import Memory, Recorded, Slot, Source
from ggml.tensors.compiled import record
from ggml.tensors.tensor import Tensor
from worker_native import Buffer


def recorded(
    walk: Callable[[list[Any]], list[Any]],
    graph: Graph,
    varying: Sequence[Input],
    given: list[Any],
    weights: Mapping[str, Tensor],
    memory: Memory,
    written: Collection[str],
) -> Recorded:
    """The native graph of ``walk``, which takes the ``varying`` inputs and gives the graph's outputs.

    Weights are named; what else the native graph reads, beside what is given, is put into ``memory``. States that are
    ``written`` to change where they lie.
    """
    results: list[Any] = []

    def walked(inputs: list[Any]) -> list[Any]:
        results[:] = walk(inputs)
        return results

    pairs = [(one, tensor) for one, tensor in zip(varying, given, strict=True) if isinstance(tensor, Tensor)]
    with outside():
        found = record(walked, (given,), {}, [tensor for _, tensor in pairs])
    tensors = [(one, result) for one, result in zip(graph.outputs, results, strict=True) if isinstance(result, Tensor)]
    names = {id(tensor.buffer()): name for name, tensor in weights.items()}
    leaves: list[int | Buffer] = [*found.leaves, *found.program.constants]
    states = {one.name: tensor for one, tensor in pairs if one.role is Role.STATE}
    outputs = [
        replace(_slot(one, states[one.name]), in_place=True)
        if one.role is Role.STATE and one.name in written
        else _slot(one, tensor)
        for one, tensor in tensors
    ]
    return Recorded(
        inputs=tuple([_slot(one, tensor) for one, tensor in pairs]),
        outputs=tuple(outputs),
        steps=found.program.steps,
        results=tuple([int(step) for step in found.program.outputs]),
        sources=tuple([_source(leaf, names, memory) for leaf in leaves]),
    )


def _slot(one: Any, tensor: Tensor) -> Slot:
    role = Role.STATE if one.role is Role.STATE else Role.USER
    return Slot(one.name, role, tensor.dtype, tuple(tensor.shape))


def _source(leaf: int | Buffer, names: Mapping[int, str], memory: Memory) -> Source:
    if isinstance(leaf, int):
        return leaf
    return names.get(id(leaf)) or memory.place(_bytes(leaf))


def _bytes(buffer: Buffer) -> NDArray[np.uint8]:
    found = np.empty(buffer.num_bytes, np.uint8)
    buffer.read(found)
    return found
