"""What the tape knows of one value: whether it requires a gradient, and which operation made it of what.

A tensor is a handle, so its history hangs on the handle and not on the node: ``detach`` is another handle on the same
node without a history. A history holds the nodes of its operation's inputs and result, and no tensor, so that there
is no circle: what nobody holds any more is let go of at once.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from ggml.core import grad_mode
from ggml.core.node import Node

#: A tensor, which is built on this module.
Tensor = Any

_numbers = itertools.count(1)

#: An input of an operation: its node, its history, and the version of its handle when the operation was recorded.
Saved = tuple[Node, "History", int]


class Recorded:
    """One operation on the tape: its name, what it was made of, and for rows of the table their parameters.

    ``backward`` is set for functions of a user; rows have their derivative by name.
    """

    __slots__ = ("backward", "inputs", "is_freed", "name", "number", "outputs", "params", "place")

    def __init__(
        self, name: str, inputs: tuple[Saved, ...], params: Any, backward: Callable[..., Any] | None = None
    ) -> None:
        self.name = name
        self.inputs = inputs
        self.params = params
        self.backward = backward
        self.number = next(_numbers)  # larger than those of the operations that made its inputs
        self.is_freed = False
        self.outputs: list[tuple[Node, weakref.ref[History]]] = []  # of each result, in order
        self.place: str | None = None  # where the caller stood, in anomaly mode


class History:
    """The gradient side of one value.

    ``version`` counts the in-place changes of handles that mean this value, ``changed_by`` says what the last was.
    ``made_by`` is None for leaves. ``index`` is the place among the results of the operation.
    """

    __slots__ = (
        "__weakref__", "accumulated", "changed_by", "grad", "hooks", "index", "made_by", "requires_grad",
        "retains_grad", "version",
    )  # fmt: skip

    def __init__(self, requires_grad: bool = False, made_by: Recorded | None = None, index: int = 0) -> None:
        self.requires_grad = requires_grad
        self.made_by = made_by
        self.index = index
        self.version = 0
        self.changed_by = ""
        self.grad: Tensor | None = None
        self.hooks: dict[int, Callable[[Tensor], Tensor | None]] | None = None
        self.accumulated: dict[int, Callable[[Tensor], None]] | None = None  # called after ``grad`` has grown
        self.retains_grad = False

    def note_change(self, op: str) -> None:
        """A handle of this value is about to mean another one."""
        self.version += 1
        self.changed_by = f"{op} at {caller()}"


def of(tensor: Tensor) -> History:
    """The history of a tensor, begun if it has none yet."""
    history: History | None = tensor._history
    if history is None:
        history = tensor._history = History()
    return history


def is_needed(inputs: Iterable[Tensor]) -> bool:
    """Whether an operation on these has to be recorded here and now."""
    for tensor in inputs:
        history = tensor._history
        if history is not None and history.requires_grad and tensor._node.dtype.is_floating_point:
            return grad_mode.is_grad_enabled()
    return False


def record(
    name: str,
    inputs: Iterable[Tensor],
    params: Any,
    results: Iterable[Tensor],
    backward: Callable[..., Any] | None = None,
) -> None:
    """Write an operation on the tape: its floating results require gradients from here on."""
    saved = []
    for tensor in inputs:
        history = of(tensor)
        saved.append((tensor._node, history, history.version))
    made_by = Recorded(name, tuple(saved), params, backward)
    if _notes_places:
        made_by.place = caller()
    for index, result in enumerate(results):
        node = result._node
        history = History(node.dtype.is_floating_point, made_by, index)
        made_by.outputs.append((node, weakref.ref(history)))
        result._history = history


_notes_places = False


def note_places(wanted: bool) -> bool:
    """Whether operations note the line that called them, in anomaly mode. Returns what held before."""
    global _notes_places
    before, _notes_places = _notes_places, wanted
    return before


_PACKAGE = __name__.rpartition(".tensors")[0] + "."


def caller() -> str:
    """The file and line outside of this package that is being executed."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    return "an unknown place" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
