"""The derivatives of rows: by name, a function that is given one recorded operation and the gradient of its result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.errors import GradientError
from ggml.core.node import Node, Shape
from ggml.tensors.history import History, Recorded
from ggml.tensors.tensor import Tensor, wrap

#: What a derivative returns: for each input of the operation its gradient, or None. A gradient may still be broadcast,
#: or of a wider dtype: the engine sums and converts it to what the input has.
Gradients = Sequence[Tensor | None]


class Step:
    """A recorded operation, as its derivative sees it.

    ``step[i]`` is input ``i`` and ``step.result`` the result, each as it was when the operation was recorded: asking
    for one whose handle was changed in place since then is a GradientError, and so is asking for one that was let go
    of. Shapes and dtypes are always there. ``params`` are those that the row gave to ``make``.
    """

    __slots__ = ("_recorded", "gradients")

    def __init__(self, recorded: Recorded, gradients: dict[int, Tensor]) -> None:
        self._recorded = recorded
        self.gradients = gradients  # of each result that has one, by place: rows of the host may have several

    @property
    def name(self) -> str:
        return self._recorded.name

    @property
    def params(self) -> Any:
        return self._recorded.params

    def __len__(self) -> int:
        return len(self._recorded.inputs)

    def needs(self, place: int) -> bool:
        """Whether somebody wants the gradient of this input."""
        node, history, _ = self._recorded.inputs[place]
        return history.requires_grad and node.dtype.is_floating_point

    def __getitem__(self, place: int) -> Tensor:
        node, history, version = self._recorded.inputs[place]
        return self._given(node, history, version, f"input {place}")

    def all(self) -> list[Tensor]:
        return [self[place] for place in range(len(self))]

    @property
    def result(self) -> Tensor:
        return self.result_at(0)

    def result_at(self, place: int) -> Tensor:
        """One of several results."""
        if not self._recorded.outputs:
            raise GradientError(self.name, _FREED)
        node, reference = self._recorded.outputs[place]
        history = reference()
        if history is None:  # the handle is gone, so that nobody can have changed it
            history = History(node.dtype.is_floating_point, self._recorded, place)
        return self._given(node, history, 0, "its result")

    def shape(self, place: int) -> Shape:
        return self._recorded.inputs[place][0].shape

    def dtype(self, place: int) -> DType:
        return self._recorded.inputs[place][0].dtype

    def _given(self, node: Node, history: History, version: int, what: str) -> Tensor:
        if self._recorded.is_freed:
            raise GradientError(self.name, _FREED)
        if history.version != version:
            where = f" at {self._recorded.place}" if self._recorded.place else ""
            raise GradientError(
                f"backward of {self.name}{where}",
                f"{what}, {node.shape}, is needed as it was, and {history.changed_by} changed it in place since then; "
                "change a clone() of it",
            )
        tensor = wrap(node)
        tensor._history = history
        return tensor


_FREED = "backward went over this operation before and let go of what it held; say backward(retain_graph=True) then"

Derivative = Callable[[Step, Tensor], Gradients]

DERIVATIVES: dict[str, Derivative] = {}

#: Rows that have no derivative although they make floats of floats, and why, in a sentence for the page of operations.
WITHOUT: dict[str, str] = {}


def derivative(*names: str) -> Callable[[Derivative], Derivative]:
    """Enter a function as the derivative of these rows."""

    def enter(function: Derivative) -> Derivative:
        for name in names:
            assert name not in DERIVATIVES, name
            DERIVATIVES[name] = function
        return function

    return enter


def without(names: str, why: str) -> None:
    """Say why these rows have no derivative."""
    WITHOUT.update(dict.fromkeys(names.split(), why))


def of(name: str) -> Derivative:
    """The derivative of a row; GradientError that names the row if it has none."""
    found = DERIVATIVES.get(name)
    if found is None:
        why = WITHOUT.get(name, "nobody has written one")
        raise GradientError(
            name,
            f"has no derivative: {why}. Call it on x.detach() or within no_grad() if no gradient has to pass it, write "
            "it with operations that have one, or give it one with ggml.autograd.Function",
        )
    return found


def summed_to(gradient: Tensor, shape: Shape) -> Tensor:
    """The gradient of what was broadcast: summed over the axes that were added or repeated."""
    have = gradient._node.shape
    if have == shape:
        return gradient
    new = len(have) - len(shape)
    gone = [*range(new), *[new + d for d, extent in enumerate(shape) if extent == 1 and have[new + d] != 1]]
    if gone:
        gradient = gradient.sum(gone, True)
    return gradient.reshape(shape)


def nothing(gradient: Tensor) -> Tensor:
    """Zeros of the gradient's shape: also where it is infinite or NaN, as a product with 0 is not."""
    zeros: Tensor = gradient.eq(0) * 0.0
    return zeros


def numel(shape: Sequence[int], dims: Sequence[int]) -> int:
    return math.prod(shape[d] for d in dims)
