"""The gradient side of a tensor, with PyTorch's names. What goes back over the tape is in ``ggml.autograd``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from ggml.core import grad_mode
from ggml.core.errors import DTypeError, GradientError, ShapeMismatchError
from ggml.tensors.history import History, Recorded, of

#: A tensor, which is built on this module.
Tensor = Any

_numbers = itertools.count()


class Handle:
    """What a hook was registered as: ``remove`` takes it off again."""

    def __init__(self, hooks: dict[int, Any], hook: Callable[..., Any]) -> None:
        self._hooks, self._number = hooks, next(_numbers)
        hooks[self._number] = hook

    def remove(self) -> None:
        self._hooks.pop(self._number, None)

    @property
    def is_last(self) -> bool:
        """Whether no hook was registered behind it."""
        return next(reversed(self._hooks), None) == self._number


class Differentiable:
    """The base of ``Tensor`` that knows its history."""

    __slots__ = ()

    if TYPE_CHECKING:
        _history: History | None
        _node: Any

    @property
    def requires_grad(self) -> bool:
        """Whether ``backward`` of what is made of it computes a gradient for it."""
        history = self._history
        return history is not None and history.requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        self.requires_grad_(requires_grad)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Say whether ``backward`` computes a gradient for it. DTypeError unless its elements are floats.

        GradientError for False where an operation made it: ``detach`` does that.
        """
        if not isinstance(requires_grad, (bool, int)):
            raise DTypeError("requires_grad_", "a bool as requires_grad", type(requires_grad).__name__)
        if not requires_grad and self._history is None:
            return self
        history = of(self)
        if requires_grad and not self._node.dtype.is_floating_point:
            raise DTypeError("requires_grad_", "a tensor of floats", self._node.dtype)
        if not requires_grad and history.made_by is not None:
            raise GradientError("requires_grad_", "an operation made this tensor; take x.detach() instead")
        history.requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        history = self._history
        return history is None or history.made_by is None or not history.requires_grad

    @property
    def grad_fn(self) -> Recorded | None:
        """The recorded operation that made it; None for leaves."""
        history = self._history
        return None if history is None or not history.requires_grad else history.made_by

    @property
    def grad(self) -> Tensor | None:
        """What ``backward`` has accumulated, in the shape and dtype of the tensor; None before."""
        history = self._history
        return None if history is None else history.grad

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if grad is None:
            if self._history is not None:
                self._history.grad = None
            return
        if not isinstance(grad, Differentiable):
            raise DTypeError("grad", "a tensor or None", type(grad).__name__)
        if grad._node.shape != self._node.shape:
            raise ShapeMismatchError("grad", f"the tensor's shape {self._node.shape}", grad._node.shape)
        if grad._node.dtype is not self._node.dtype:
            raise DTypeError("grad", self._node.dtype, grad._node.dtype)
        of(self).grad = grad

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def output_nr(self) -> int:
        """The place among the results of the operation that made it."""
        return 0 if self._history is None else self._history.index

    @property
    def _version(self) -> int:
        """How often handles of this value were given another one in place."""
        return 0 if self._history is None else self._history.version

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that an operation made in ``grad``, too."""
        history = self._needed("retain_grad")
        history.retains_grad = history.made_by is not None

    @property
    def retains_grad(self) -> bool:
        return self._history is not None and self._history.retains_grad

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call ``hook`` with the gradient when it is complete; what it returns takes its place, unless None."""
        history = self._needed("register_hook")
        if history.hooks is None:
            history.hooks = {}
        return Handle(history.hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Handle:
        """Call ``hook`` with the tensor after ``grad`` has grown. Leaves only."""
        history = self._needed("register_post_accumulate_grad_hook")
        if history.made_by is not None:
            raise GradientError("register_post_accumulate_grad_hook", "only leaves accumulate; use register_hook")
        if history.accumulated is None:
            history.accumulated = {}
        return Handle(history.accumulated, lambda _: hook(self))

    def _needed(self, op: str) -> History:
        history = self._history
        if history is None or not history.requires_grad:
            raise GradientError(op, "the tensor does not require a gradient; call requires_grad_() first")
        return history

    def _become(self, result: Tensor, op: str) -> None:
        """Take over the history of a result that this handle is about to mean, as in-place methods do.

        GradientError for a leaf that requires a gradient, outside of ``no_grad``: its gradient would have no place.
        """
        own, new = self._history, result._history
        if not grad_mode.is_grad_enabled():
            if own is not None:
                own.note_change(op)
            return
        if own is not None:
            if own.requires_grad and own.made_by is None:
                raise GradientError(
                    op, "a leaf that requires a gradient is changed in place; do it within no_grad(), or on x.clone()"
                )
            own.note_change(op)
        setattr(self, "_history", new)  # noqa: B010  # the slot is one of the subclass
