"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ggml.core.errors import DTypeError, ShapeMismatchError
from ggml.core.grad_mode import no_grad
from ggml.ops.shape.concatenation import cat
from ggml.tensors.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements one behind the other: [N]. Gradients come back through it."""
    return cat([one.reshape(-1) for one in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """The elements of ``vec`` [N] in the places of all parameters, in order. ShapeMismatchError for another N."""
    if not isinstance(vec, Tensor):
        raise DTypeError("vector_to_parameters", "a tensor", type(vec).__name__)
    listed = list(parameters)
    wanted = sum(one.numel() for one in listed)
    if tuple(vec.shape) != (wanted,):
        raise ShapeMismatchError("vector_to_parameters", f"({wanted},)", tuple(vec.shape))
    begin = 0
    with no_grad():
        for one in listed:
            end = begin + one.numel()
            one.copy_(vec.detach()[begin:end].reshape(one.shape))
            begin = end
