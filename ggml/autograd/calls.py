"""``Tensor.backward``, ``ggml.autograd.backward`` and ``ggml.autograd.grad``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggml.autograd.engine import walk
from ggml.core.errors import ArgumentError, DTypeError, GradientError
from ggml.ops.create.factories import zeros
from ggml.tensors.history import of
from ggml.tensors.tensor import Tensor


def _listed(op: str, value: Any, argument: str) -> list[Any]:
    """One tensor, or several, such as those of ``model.parameters()``."""
    if isinstance(value, Tensor):
        return [value]
    try:
        return list(value)
    except TypeError:
        raise DTypeError(op, f"a tensor, or several, as {argument}", type(value).__name__) from None


def _flag(op: str, value: Any, argument: str) -> bool:
    if not isinstance(value, bool):
        raise DTypeError(op, f"True or False as {argument}", type(value).__name__)
    return value


def _keeps(op: str, retain_graph: Any, create_graph: Any) -> bool:
    """Whether the tape stays as it is."""
    creates = _flag(op, create_graph, "create_graph")
    return creates if retain_graph is None else _flag(op, retain_graph, "retain_graph")


def _several(op: str, value: Any, argument: str) -> list[Tensor]:
    values = _listed(op, value, argument)
    for one in values:
        if not isinstance(one, Tensor):
            raise DTypeError(op, f"tensors as {argument}", type(one).__name__)
    return values


def _matching(op: str, roots: Sequence[Tensor], gradients: Any) -> list[Tensor | None]:
    if gradients is None:
        return [None] * len(roots)
    given = _listed(op, gradients, "gradients")
    if len(given) != len(roots):
        raise ArgumentError(op, "gradients", f"are {len(given)} for {len(roots)} tensors")
    return given


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of these tensors to ``grad`` of the leaves, or of ``inputs`` only.

    Tensors of more than one element need a gradient of their shape in ``grad_tensors``. What the tape holds is let go
    of, unless ``retain_graph`` (by default ``create_graph``, which records the derivatives, too). GradientError if
    nothing requires a gradient, the tape was let go of, or a row on the way has no derivative.
    """
    roots = _several("backward", tensors, "tensors")
    keeps = _keeps("backward", retain_graph, create_graph)
    if inputs is None:
        walk(roots, _matching("backward", roots, grad_tensors), None, keeps, create_graph)
        return
    wanted = _several("backward", inputs, "inputs")
    if not wanted:
        raise ArgumentError("backward", "inputs", "must not be empty")
    ends = [of(one) for one in wanted]
    way = walk(roots, _matching("backward", roots, grad_tensors), ends, keeps, create_graph)
    for end in ends:
        found = way.found.get(id(end))
        if found is not None:
            end.grad = found if end.grad is None else end.grad + found


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` for each of ``inputs``, in its shape; no ``grad`` grows.

    An input that nothing of ``outputs`` was made of is a GradientError; None with ``allow_unused``, zeros with
    ``materialize_grads``.
    """
    roots, wanted = _several("grad", outputs, "outputs"), _several("grad", inputs, "inputs")
    if not wanted:
        raise ArgumentError("grad", "inputs", "must not be empty")
    for one in wanted:
        if not one.requires_grad:
            raise GradientError("grad", f"an input of shape {tuple(one.shape)} does not require a gradient")
    ends = [of(one) for one in wanted]
    keeps = _keeps("grad", retain_graph, create_graph)
    way = walk(roots, _matching("grad", roots, grad_outputs), ends, keeps, create_graph)
    found: list[Tensor | None] = []
    for one, end in zip(wanted, ends, strict=True):
        gradient = way.found.get(id(end))
        if gradient is None and materialize_grads:
            gradient = zeros(one.shape, dtype=one.dtype, device=one.device)
        elif gradient is None and not allow_unused:
            raise GradientError(
                "grad",
                f"no output was made of an input of shape {tuple(one.shape)}; allow_unused=True gives None for it",
            )
        found.append(gradient)
    return tuple(found)


def _tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of this tensor to ``grad`` of the leaves it was made of; see ``ggml.autograd.backward``."""
    backward((self,), None if gradient is None else (gradient,), retain_graph, create_graph, inputs)


setattr(Tensor, "backward", _tensor_backward)  # noqa: B010
