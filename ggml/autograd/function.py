"""``autograd.Function``: an operation with a derivative of the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.core import grad_mode
from ggml.core.errors import ArgumentError, GradientError
from ggml.ops.create.factories import zeros
from ggml.tensors import history
from ggml.tensors.history import History
from ggml.tensors.tensor import Tensor, wrap

__all__ = ["Function"]


class Context:
    """What ``forward`` leaves for ``backward``. Attributes of any name may be set on it."""

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._saved: list[tuple[Tensor, History, int] | None] = []
        self._name = ""
        self._is_freed = False
        self._constant: set[int] = set()
        self._materializes = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or results; changing one of them in place afterwards is an error in ``backward``."""
        self._to_save = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that these results have no gradient."""
        self._constant = {id(one) for one in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Accepted: tensors never change, only handles do."""

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` is given zeros (the default) or None for results that nobody used."""
        self._materializes = bool(value)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        if self._is_freed:
            raise GradientError(
                self._name, "backward went over it before and let go of its tensors; say backward(retain_graph=True)"
            )
        found: list[Tensor | None] = []
        for saved in self._saved:
            if saved is None:
                found.append(None)
                continue
            tensor, known, version = saved
            if known.version != version:
                raise GradientError(
                    f"backward of {self._name}",
                    f"a saved tensor, {tuple(tensor.shape)}, is needed as it was, and {known.changed_by} changed it in "
                    "place since then; change a clone() of it",
                )
            found.append(tensor)
        return tuple(found)


class Function:
    """Subclass it with ``forward(ctx, *args)`` and ``backward(ctx, *grads)``, and call ``apply``.

    ``forward`` may leave ``ctx`` out where there is ``setup_context(ctx, inputs, output)``. ``backward`` returns a
    gradient, or None, for each argument of ``forward``.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call ``forward`` without recording, and record the whole as one operation."""
        context = Context()
        context._name = cls.__name__
        places = [place for place, one in enumerate(args) if isinstance(one, Tensor)]
        tensors = [args[place] for place in places]
        is_needed = history.is_needed(tensors)
        context.needs_input_grad = tuple(isinstance(one, Tensor) and one.requires_grad for one in args)
        with grad_mode.no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(context, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(context, args, output)
        if not is_needed:
            return output
        several = isinstance(output, (tuple, list))
        results = [_own(one, tensors) for one in (output if several else (output,))]
        floats = [one for one in results if isinstance(one, Tensor)]
        given = list(output) if several else [output]

        def backward(gradients: dict[int, Tensor]) -> Sequence[Tensor | None]:
            parts = [_part(context, one, gradients.get(place)) for place, one in enumerate(specs)]
            found = cls.backward(context, *parts)
            found = list(found) if isinstance(found, (tuple, list)) else [found]
            if len(found) < len(args) or any(one is not None for one in found[len(args) :]):
                raise ArgumentError(
                    cls.__name__, "backward", f"returned {len(found)} gradients for {len(args)} arguments"
                )
            return [found[place] for place in places]

        history.record(cls.__name__, tensors, (), floats, backward)
        specs = [(one._node.shape, one.dtype, one.device) for one in floats]
        for old, new in zip(given, results, strict=True):
            if id(old) in context._constant and new._history is not None:
                new._history.requires_grad = False
        swapped = {id(old): new for old, new in zip(given, results, strict=True)}
        for one in getattr(context, "_to_save", ()):
            kept = None if one is None else swapped.get(id(one), one)
            context._saved.append(None if kept is None else _saved(kept))
        return type(output)(results) if several else results[0]


def _own(result: Any, inputs: Sequence[Tensor]) -> Any:
    """A handle of its own for a result that is an input."""
    return wrap(result._node) if any(result is one for one in inputs) else result


def _saved(tensor: Tensor) -> tuple[Tensor, History, int]:
    known = history.of(tensor)
    kept = wrap(tensor._node)
    kept._history = known
    return kept, known, known.version


def _part(context: Context, spec: Any, gradient: Tensor | None) -> Tensor | None:
    if gradient is not None or not context._materializes:
        return gradient
    shape, dtype, device = spec
    return zeros(shape, dtype=dtype, device=device)
