"""One training step, recorded: forward, backward, clipping and update as one native graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ggml.autograd.calls import backward
from ggml.core import grad_mode, tracing
from ggml.core.devices import Device
from ggml.core.dtypes import DType, float32
from ggml.core.errors import DeviceMismatchError, DTypeError
from ggml.core.node import Node, Shape, leaf, placeholder
from ggml.graph.executable import Early, Executable, compile_plan
from ggml.nn.utils.clip_grad import clip_grad_norm_
from ggml.optim.optimizer import Group, Optimizer
from ggml.tensors.compiled import source_of, stand_in, swapped, without_constants
from ggml.tensors.tensor import Tensor, wrap
from ggml.training.places import Read, memory, params_of, stand_in_states, stand_ins, undone
from ggml.training.reducing import Reduction
from worker_native import Buffer

#: A leaf is a place in the list of what is read at each call, or memory that is always the same.
Leaf = int | Buffer


class Target(NamedTuple):
    """Where a result goes: to a handle, or into the state of a parameter under a name."""

    handle: Tensor
    name: str | None
    shape: Shape
    dtype: DType


class Part(NamedTuple):
    """A graph of a step, and what it reads."""

    program: Executable
    leaves: list[Leaf]

    def run(self, read: Sequence[Buffer], device: Device, early: Mapping[int, Early] | None = None) -> list[Buffer]:
        buffers = [read[one] if isinstance(one, int) else one for one in self.leaves]
        return self.program.run(buffers, device, early)


@dataclass(frozen=True, slots=True)
class StepRecording:
    """One signature of a step: one graph, or two where gradients are reduced over several processes in between."""

    parts: list[Part]
    reduced: list[Tensor]  # parameters whose gradients the first part has at its end, for the second one
    handles: list[Tensor]
    reads: list[tuple[Tensor, str]]  # the tensors of states that are read: of which parameter, by name
    draws: list[Callable[[], Tensor]]
    updated: list[tuple[Tensor, int]]  # parameters that have a gradient, and the places of their groups
    num_rates: tuple[int, ...]  # for each of these
    loss: tuple[Shape, DType]
    targets: list[Target]  # of the results after the loss
    device: Device
    is_lasting: bool  # whether a step leaves a state of the same form behind

    @property
    def num_bytes(self) -> int:
        """Of intermediate results."""
        return sum(part.program.graph.num_bytes for part in self.parts)

    def run(
        self, arguments: list[Tensor], optimizer: Optimizer, rates: list[float], reduction: Reduction | None
    ) -> tuple[Buffer, list[Node]]:
        """The memory of the loss, and a node for each target. Draws random numbers, and changes nothing else."""
        drawn = [draw() for draw in self.draws]
        state = optimizer.state
        read = [one.buffer() for one in arguments]
        read += [memory(handle._node) for handle in self.handles]
        read += [memory(state[param][name]._node) for param, name in self.reads]
        read += [one.buffer() for one in drawn]
        read.append(_uploaded(rates, self.device))
        loss, *results = self._run(read, reduction)
        nodes = zip(self.targets, results, strict=True)
        return loss, [leaf(target.shape, target.dtype, self.device, buffer) for target, buffer in nodes]

    def _run(self, read: list[Buffer], reduction: Reduction | None) -> list[Buffer]:
        if len(self.parts) == 1:
            return self.parts[0].run(read, self.device)
        forth, back = self.parts
        assert reduction is not None, "who recorded two parts has begun it"
        first = len(forth.program.outputs) - len(self.reduced)
        early = {
            first + place: partial(reduction.put, param)
            for place, param in enumerate(self.reduced)
            if param.dtype is float32 and reduction.is_early
        }
        results = forth.run(read, self.device, early)
        for param, buffer in zip(self.reduced, results[first:], strict=True):
            reduction.offer(param, wrap(leaf(param._node.shape, param.dtype, self.device, buffer)))
        found = {id(param): gradient for param, gradient in reduction.finish()}
        gradients = [found[id(param)] for param in self.reduced]
        assert all(one is not None for one in gradients), "this rank has one of each"
        return [
            *results[:first],
            *back.run([*read, *[one.buffer() for one in gradients if one is not None]], self.device),
        ]


def _uploaded(rates: list[float], device: Device) -> Buffer:
    """Numbers as one vector of float32."""
    array = np.array(rates or [0.0], np.float32)
    buffer = Buffer(device.native, array.nbytes)
    buffer.write(array.view(np.uint8))
    return buffer


class _Updates(NamedTuple):
    """What the optimiser made of the gradients."""

    updated: list[tuple[Tensor, int]]
    rates: Node
    num_rates: tuple[int, ...]
    reads: list[Read]
    targets: list[tuple[Tensor, str | None, Node]]  # new values of parameters, and of what is kept of them
    is_lasting: bool


def _update(optimizer: Optimizer, device: Device) -> _Updates:
    """The new parameters and states, with all rates in one vector."""
    found = list(optimizer.with_gradients())
    before = [optimizer.state.get(param, {}) for param, _ in found]
    states, reads = stand_in_states([param for param, _ in found], before)
    numbers = [optimizer.rates(state, group) for state, (_, group) in zip(states, found, strict=True)]
    counts = tuple(map(len, numbers))
    node = placeholder((max(sum(counts), 1),), float32, device)
    vector, at = wrap(node), 0
    targets: list[tuple[Tensor, str | None, Node]] = []
    for (param, group), state, count in zip(found, states, counts, strict=True):
        rates = [vector[at + place] for place in range(count)]
        at += count
        old = dict(state)
        targets.append((param, None, optimizer.updated(param, state, group, rates).to(param.dtype)._node))
        for name, one in state.items():
            if isinstance(one, Tensor) and one is not old.get(name):
                targets.append((param, name, one._node))
    updated = [(param, _place(optimizer.param_groups, group)) for param, group in found]
    is_lasting = all(old.keys() == new.keys() for old, new in zip(before, states, strict=True))
    return _Updates(updated, node, counts, reads, targets, is_lasting)


def _place(groups: list[Group], group: Group) -> int:
    return next(place for place, one in enumerate(groups) if one is group)


def record(
    function: Callable[..., Tensor],
    optimizer: Optimizer,
    max_norm: float | None,
    handles: list[Tensor],
    args: tuple[Any, ...],
    arguments: list[Tensor],
    reduction: Reduction | None,
) -> StepRecording:
    """Run ``function``, ``backward`` and the update once on placeholders, and build the graph of it.

    ``reduction`` says which gradients are to leave the graph before the update; nothing is put there.
    """
    inputs = [placeholder(one._node.shape, one._node.dtype, one._node.device) for one in arguments]
    given = iter([stand_in(node, one) for node, one in zip(inputs, arguments, strict=True)])
    changes, params = tracing.Changes(), params_of(optimizer)
    with stand_ins(handles) as nodes, tracing.recording(changes), undone(changes, handles):
        with grad_mode.enable_grad():
            result = function(*swapped(args, given))
        if not isinstance(result, Tensor):
            raise DTypeError("compile_step", "a tensor of one element as loss", type(result).__name__)
        backward(result, inputs=[param for param in params if param.requires_grad])
        reduced = [] if reduction is None else [one for one in params if one.grad is not None and reduction.has(one)]
        made, reduced_nodes = [], []
        for param in reduced:
            assert param.grad is not None
            made.append(param.grad._node)
            reduced_nodes.append(placeholder(param._node.shape, param.dtype, param.device))
            param.grad = wrap(reduced_nodes[-1])
        if max_norm is not None:
            clip_grad_norm_(params, max_norm)
        loss = result._node
        with grad_mode.no_grad():
            updates = _update(optimizer, loss.device)
        changed = [(one, None, one._node) for one, node in zip(handles, nodes, strict=True) if one._node is not node]
        del result  # what is changed in place and still held belongs to somebody else
    targets = [*changed, *updates.targets]
    reads, draws = [one.node for one in updates.reads], [node for node, _ in changes.draws]
    read = [*inputs, *nodes, *reads, *draws, updates.rates, *reduced_nodes]
    first = [loss, *[node for _, _, node in changed]]
    last = [node for _, _, node in updates.targets]
    parts = [_part([*first, *made], read), _part(last, read)] if reduced else [_part([*first, *last], read)]
    return StepRecording(
        parts=parts,
        reduced=reduced,
        handles=handles,
        reads=[(one.param, one.name) for one in updates.reads],
        draws=[draw for _, draw in changes.draws],
        updated=updates.updated,
        num_rates=updates.num_rates,
        loss=(loss.shape, loss.dtype),
        targets=[Target(handle, name, node.shape, node.dtype) for handle, name, node in targets],
        device=loss.device,
        is_lasting=updates.is_lasting,
    )


def _part(outputs: list[Node], read: list[Node]) -> Part:
    """The graph of these results."""
    # In this order what checkpoints compute again is there only while gradients come back over it.
    todo = without_constants(outputs, as_recorded=True)
    device = outputs[0].device
    _need_one_device([*todo.leaves, *outputs])
    places = {id(node): place for place, node in enumerate(read)}
    return Part(compile_plan(todo, device), [source_of(node, places) for node in todo.leaves])


def _need_one_device(nodes: list[Node]) -> None:
    devices = tuple(dict.fromkeys(str(node.device) for node in nodes))
    if len(devices) > 1:
        raise DeviceMismatchError("compile_step", devices)
