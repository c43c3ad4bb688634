"""What a step reads and writes beside its arguments: the tensors of a model, and what an optimiser keeps of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from ggml.core import tracing
from ggml.core.errors import TracingError
from ggml.core.node import Node, placeholder
from ggml.core.tracing import Changes
from ggml.graph import executor
from ggml.nn.module.module import Module
from ggml.optim.optimizer import Optimizer, State
from ggml.tensors.tensor import Tensor, wrap
from worker_native import Buffer

#: The settings of a group that reach the graph as numbers, or not at all.
_NO_CONSTANTS = frozenset({"params", "lr", "initial_lr"})


def handles_of(modules: list[Module], optimizer: Optimizer) -> list[Tensor]:
    """The parameters and buffers of the modules and the parameters of the optimiser, each once."""
    found: dict[int, Tensor] = {}
    for module in modules:
        for owned in (module._parameters, module._buffers):
            for one in owned.values():
                if one is not None:
                    found[id(one)] = one
    for group in optimizer.param_groups:
        for param in group["params"]:
            found[id(param)] = param
    return list(found.values())


def params_of(optimizer: Optimizer) -> list[Tensor]:
    """The parameters of all groups, in order."""
    return [param for group in optimizer.param_groups for param in group["params"]]


def signature(modules: list[Module], optimizer: Optimizer, handles: list[Tensor]) -> Hashable:
    """What tells steps apart beside their arguments: modes, and what the optimiser does not give as a number."""
    modes = tuple([module.training for module in modules])
    tensors = tuple([(id(one), one.requires_grad, _spec(one._node)) for one in handles])
    states = tuple([_kept(optimizer.state.get(param)) for param in params_of(optimizer)])
    groups = tuple(
        [
            (len(group["params"]), *[(key, _hashable(group[key])) for key in group if key not in _NO_CONSTANTS])
            for group in optimizer.param_groups
        ]
    )
    return modes, tensors, states, groups


def _spec(node: Node) -> Hashable:
    return node.shape, node.dtype.name, node.device


def _kept(state: State | None) -> Hashable:
    """The names of a state, and which tensors are behind them. Numbers in it may differ."""
    if not state:
        return ()
    return tuple([(name, _spec(one._node)) if isinstance(one, Tensor) else name for name, one in state.items()])


def _hashable(setting: Any) -> Hashable:
    return tuple(setting) if isinstance(setting, list) else setting


@contextmanager
def stand_ins(handles: list[Tensor]) -> Iterator[list[Node]]:
    """Each handle means a placeholder without a gradient until the end of the block, and then what it meant before."""
    before = [(one._node, one._history, one.grad) for one in handles]
    nodes = [placeholder(node.shape, node.dtype, node.device) for node, _, _ in before]
    for one, node in zip(handles, nodes, strict=True):
        one._node = node
        one.grad = None
    try:
        yield nodes
    finally:
        for one, (own, history, grad) in zip(handles, before, strict=True):
            one._node, one._history = own, history
            if history is not None:
                history.grad = grad


@contextmanager
def undone(changes: Changes, handles: list[Tensor]) -> Iterator[None]:
    """Undo at the end of the block what was changed in place. TracingError if that is no tensor of the step and lives
    on: it would have to change at each call, and nobody would do it."""
    try:
        yield
    except BaseException:
        changes.undo()
        raise
    known = {id(one) for one in handles}
    for one in changes.undo():
        if id(one) not in known:
            raise TracingError(
                "compile_step",
                f"a tensor {tuple(one.shape)} that no module owns is changed in place; register_buffer it, or train "
                "with the plain loop",
            )


class Read(NamedTuple):
    """A tensor of a state, and the placeholder that it has in a recording."""

    node: Node
    param: Tensor
    name: str


def stand_in_states(params: list[Tensor], states: list[State]) -> tuple[list[State], list[Read]]:
    """Copies of the states with a placeholder for each tensor."""
    copies: list[State] = []
    reads: list[Read] = []
    for param, state in zip(params, states, strict=True):
        copy = dict(state)
        for name, one in state.items():
            if isinstance(one, Tensor):
                node = placeholder(one._node.shape, one._node.dtype, one._node.device)
                copy[name] = wrap(node)
                reads.append(Read(node, param, name))
        copies.append(copy)
    return copies, reads


def memory(node: Node) -> Buffer:
    """The elements of a node, which are there nearly always."""
    return node.buffer or executor.memory(node)


def point(handle: Tensor, node: Node, op: str) -> bool:
    """Make a handle of the model mean another value. Returns whether compiled functions hold the old one."""
    is_captured = handle._node.is_captured
    if is_captured:
        tracing.note_change()
    handle._node = node
    history = handle._history
    if history is not None:
        history.version += 1
        history.changed_by = op
    return is_captured
