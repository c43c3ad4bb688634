"""The way back over the tape: operations in the reverse of the order in which they were recorded.

An operation's number is larger than those of what made its inputs. So taking the largest number first meets each
operation when all that was made of its results has been dealt with. Gradients are lazy tensors as all others are;
``backward`` computes those it leaves behind, and the values it started from, in one graph at the end.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ggml.autograd import derivative
from ggml.autograd.derivative import Step, summed_to
from ggml.core import autocast, grad_mode, tracing
from ggml.core.errors import DeviceMismatchError, DTypeError, GgmlError, GradientError, ShapeMismatchError
from ggml.core.node import placeholder
from ggml.graph import executor
from ggml.graph.executable import Early
from ggml.ops.create.factories import zeros
from ggml.registry.table import TABLE
from ggml.tensors.history import History, Recorded
from ggml.tensors.tensor import Tensor, filled

_checks_nan = False
_under_way: list[Walk] = []  # the innermost last: a hook may go back on its own


def check_nan(wanted: bool) -> bool:
    """Whether each gradient is looked at for NaN as soon as it is made. Returns what held before."""
    global _checks_nan
    before, _checks_nan = _checks_nan, wanted
    return before


def queue_callback(callback: Callable[[], None], on_failure: Callable[[], None] | None = None) -> None:
    """Call it when the ``backward`` under way is done and gradients are computed. From within hooks only.

    Whoever works with all gradients together needs them after the one graph that makes them, not while it is planned.
    ``on_failure`` is called instead where that backward raises, also by the callback.
    """
    way = _current("queue_callback")
    way.callbacks.append(callback)
    if on_failure is not None:
        way.failures.append(on_failure)


def see_early(gradient: Tensor, see: Early) -> None:
    """Give ``see`` the elements of a gradient while the graph of the ``backward`` under way still computes others.

    From within hooks only. It may look at them only while it is called, and must not compute. It is not called where
    they are there already, or something else watches the graph: whoever needs them asks the gradient afterwards.
    """
    _current("see_early").early[id(gradient._node)] = see


def _current(what: str) -> Walk:
    if not _under_way:
        raise GradientError(what, "no backward is under way; call it from within a hook")
    return _under_way[-1]


class Walk:
    """One way back. Gradients stop at ``ends`` where these are given, and are accumulated in leaves otherwise."""

    def __init__(self, ends: Iterable[History] | None, keeps: bool, creates: bool) -> None:
        self.ends = None if ends is None else {id(end) for end in ends}
        self._keeps = keeps
        self._creates = creates
        self._sums: dict[int, Tensor] = {}  # by history
        self._histories: dict[int, History] = {}
        self._pending: list[tuple[int, Recorded]] = []
        self._results: dict[int, dict[int, History]] = {}  # of pending operations, by number: results that have sums
        self.found: dict[int, Tensor] = {}
        self.grown: list[Tensor] = []
        self.callbacks: list[Callable[[], None]] = []
        self.failures: list[Callable[[], None]] = []
        self.early: dict[int, Early] = {}  # by node, which the tensors in `grown` keep alive

    def add(self, history: History, gradient: Tensor) -> None:
        """One part of the gradient of a value."""
        key = id(history)
        before = self._sums.get(key)
        self._sums[key] = gradient if before is None else before + gradient
        if before is not None:
            return
        self._histories[key] = history
        made_by = history.made_by
        if made_by is not None:
            known = self._results.get(made_by.number)
            if known is None:
                known = self._results[made_by.number] = {}
                heapq.heappush(self._pending, (-made_by.number, made_by))
            known[history.index] = history

    def run(self) -> None:
        # Derivatives compute in the dtypes that the operations had, whatever block this is called in.
        with grad_mode.set_grad_enabled(self._creates), autocast.within(()):
            while self._pending:
                _, made_by = heapq.heappop(self._pending)
                results = self._results.pop(made_by.number)
                gradients = {index: self._finished(history) for index, history in results.items()}
                self._pass_on(made_by, gradients)
            for history in list(self._histories.values()):
                self._finished(history)

    def _finished(self, history: History) -> Tensor:
        """The whole gradient of a value, after its hooks; kept where somebody wants it."""
        key = id(history)
        del self._histories[key]
        gradient = self._sums.pop(key)
        for hook in list((history.hooks or {}).values()):
            changed = hook(gradient)
            gradient = gradient if changed is None else changed
        if self.ends is not None and key in self.ends:
            self.found[key] = gradient
        if self.ends is None and (history.made_by is None or history.retains_grad):
            history.grad = gradient if history.grad is None else history.grad + gradient
            self.grown.append(history.grad)
            for accumulated in list((history.accumulated or {}).values()):
                accumulated(gradient)
        return gradient

    def _pass_on(self, made_by: Recorded, gradients: dict[int, Tensor]) -> None:
        try:
            parts = _parts(made_by, gradients)
        except GgmlError as error:
            if made_by.place:
                error.add_note(f"The operation {made_by.name} was called at {made_by.place}.")
            raise
        for (node, history, _), part in zip(made_by.inputs, parts, strict=True):
            if part is None or not history.requires_grad or not node.dtype.is_floating_point:
                continue
            part = summed_to(part, node.shape)
            if part.dtype is not node.dtype:
                part = part.to(node.dtype)
            if _checks_nan and bool(part.isnan().any()):
                where = f", which was called at {made_by.place}" if made_by.place else ""
                raise GradientError(made_by.name, f"its derivative made NaN for an input {node.shape}{where}")
            self.add(history, part)
        if not self._keeps:
            _free(made_by)


def _parts(made_by: Recorded, gradients: dict[int, Tensor]) -> Sequence[Tensor | None]:
    """What the inputs get: nothing comes back from results without elements, nor through inputs without any."""
    inputs = made_by.inputs
    if made_by.backward is not None:
        if made_by.is_freed:
            raise GradientError(made_by.name, derivative._FREED)
        return made_by.backward(gradients)  # type: ignore[no-any-return]
    gradient = gradients[min(gradients)]
    row = TABLE.get(made_by.name)
    is_constant = row is not None and row.on_empty is not None and any(0 in node.shape for node, _, _ in inputs)
    if 0 in gradient._node.shape or is_constant:
        return [zeros(node.shape, dtype=node.dtype, device=node.device) for node, _, _ in inputs]
    return derivative.of(made_by.name)(Step(made_by, gradients), gradient)


def _free(made_by: Recorded) -> None:
    """Let go of the values; shapes stay, for derivatives that need no more."""
    made_by.is_freed = True
    made_by.inputs = tuple(
        (placeholder(node.shape, node.dtype, node.device), history, version)
        for node, history, version in made_by.inputs
    )
    made_by.outputs = []


def seed(op: str, root: Tensor, gradient: Any) -> tuple[History, Tensor]:
    """Where a way back begins: the history of a result, and its gradient, 1 for a result of one element."""
    if not isinstance(root, Tensor):
        raise DTypeError(op, "a tensor", type(root).__name__)
    history = root._history
    if history is None or not history.requires_grad:
        raise GradientError(op, "the tensor does not require a gradient and nothing that it was made of does")
    node = root._node
    if gradient is None:
        if node.numel != 1:
            raise GradientError(
                op, f"a tensor of shape {node.shape} needs a gradient to begin with: backward(gradient)"
            )
        return history, filled(node.shape, 1.0, node.dtype, node.device)
    if not isinstance(gradient, Tensor):
        raise DTypeError(op, "a tensor as gradient", type(gradient).__name__)
    if gradient._node.shape != node.shape:
        raise ShapeMismatchError(op, f"a gradient of shape {node.shape}", gradient._node.shape)
    if gradient.device != root.device:
        raise DeviceMismatchError(op, (str(root.device), str(gradient.device)))
    return history, gradient.to(node.dtype)


def walk(
    roots: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    ends: Iterable[History] | None,
    keeps: bool,
    creates: bool,
) -> Walk:
    """Go back from ``roots``; what was found is computed, unless a function is being recorded."""
    op = "backward" if ends is None else "grad"
    way = Walk(ends, keeps, creates)
    for root, gradient in zip(roots, gradients, strict=True):
        way.add(*seed(op, root, gradient))
    try:
        _under_way.append(way)
        try:
            way.run()
        finally:
            _under_way.pop()
        if not tracing.is_active():
            made = [*way.grown, *way.found.values()]
            executor.compute([one._node for one in (*made, *roots)], early=way.early or None)
        for callback in way.callbacks:
            callback()
    except BaseException:
        for failed in way.failures:
            failed()
        raise
    return way
