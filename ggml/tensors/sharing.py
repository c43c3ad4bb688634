"""Memory that others may write to: what reads it is computed before they can, so each result belongs to one moment.

A lazy operation on such memory would show what lies there when somebody looks at the result. So operations on memory
that another library owns, or that a numpy array looks at, are computed when they are called, as PyTorch computes all of
them; views of it stay views. When the memory of a tensor is handed out, what was recorded on it before is computed.
"""

from __future__ import annotations

from ggml.core import tracing
from ggml.core.errors import GgmlError
from ggml.core.node import LENT, OWN, SEEN, Node, Shape
from ggml.graph import executor
from ggml.graph.plan import needs_arguments
from ggml.graph.value import Value, row_major

__all__ = ["is_dense_view", "is_view", "lend", "settle", "settle_readers", "show"]

# Rows that look at the elements in place, but copy them in PyTorch.
_COPIED_IN_TORCH = frozenset({"flip", "windows"})


class _CopyNeeded(Exception):
    """The elements cannot be looked at in place in this shape."""


class _Looks:
    """Stands in for a builder where views are worked out and nothing is to be copied."""

    def dense(self, value: Value) -> Value:
        if not value.is_dense:
            raise _CopyNeeded
        return value

    def reshape(self, value: Value, shape: Shape) -> Value:
        found = value.reshape(shape)
        if found is None:
            raise _CopyNeeded
        return found


def is_view(node: Node) -> bool:
    """Whether a pending node looks at the elements of its input where they lie, as the same view does in PyTorch."""
    row = node.op
    if row is None or row.runs != "view" or row.name in _COPIED_IN_TORCH:
        return False
    return _look(node) is not None


def is_dense_view(node: Node) -> bool:
    """Whether the elements lie one after the other: in memory, or in the memory that a pending view looks at."""
    look = _look(node)
    return look is not None and look.is_dense


def _look(node: Node) -> Value | None:
    chain: list[Node] = []
    while node.buffer is None:
        if node.op is None or node.op.runs != "view":
            return None
        chain.append(node)
        node = node.inputs[0]
    value = Value(0, node.dtype.ggml_type, node.shape, row_major(node.shape))
    looks = _Looks()
    try:
        for view in reversed(chain):
            assert view.op is not None and view.op.lower is not None
            value = view.op.lower(looks, (value,), view.params, view)
    except _CopyNeeded:
        return None
    return value


def settle(node: Node) -> None:
    """Compute a node that was just recorded on shared memory; a view of such memory stays a view."""
    if is_view(node):
        return
    node.sharing = OWN
    if any(source.is_shared for source in node.inputs) and not tracing.is_active():
        executor.compute([node])


def show(node: Node) -> None:
    """Somebody gets an array over the node's memory, and may write as long as it lives."""
    _hand_out(node, SEEN)


def lend(node: Node) -> None:
    """Somebody gets the address of the node's memory, and may write at any time."""
    _hand_out(node, LENT)


def _hand_out(node: Node, sharing: int) -> None:
    settle_readers(node, sharing)
    node.sharing = max(node.sharing, sharing)
    if node.is_folded:  # a compiled function keeps what it once made of the elements
        node.is_folded = False
        tracing.note_change()


def settle_readers(node: Node, sharing: int = OWN) -> None:
    """Compute what was recorded on the node's elements so far. Views become views of shared memory."""
    todo: list[Node] = []
    stack = [node]
    while stack:
        one = stack.pop()
        readers = one.pending_readers()
        one.readers = None
        for reader in readers:
            if is_view(reader):
                reader.sharing = max(reader.sharing, sharing)
                stack.append(reader)
            else:
                todo.append(reader)
    todo = [one for one in todo if not needs_arguments(one)]
    if not todo:
        return
    try:
        executor.compute(todo)
    except GgmlError:
        for one in todo:  # what cannot be computed says so to whoever asks for it
            try:
                executor.compute([one])
            except GgmlError:
                continue
