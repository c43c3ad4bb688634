"""Gradients kept within bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ggml.core.errors import ArgumentError
from ggml.core.grad_mode import no_grad
from ggml.ops.create.factories import zeros
from ggml.ops.shape.concatenation import stack
from ggml.tensors.tensor import Tensor


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [one for one in listed if one.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor so that their joint norm is at most ``max_norm``; returns the norm before.

    Everything is one graph, in which the factor is at most 1. ``foreach`` has no effect.
    """
    params = _with_gradients(parameters)
    if not params:
        return zeros(())
    with no_grad():
        gradients = [param.grad.detach() for param in params if param.grad is not None]
        total = stack([one.float().norm(norm_type) for one in gradients]).norm(norm_type)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise ArgumentError("clip_grad_norm_", "parameters", "have gradients whose norm is not finite")
        factor = (float(max_norm) / (total + 1e-6)).clamp(max=1.0)
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = (gradient * factor).to(gradient.dtype)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Every element of the gradients brought into [-clip_value, clip_value]. ``foreach`` has no effect."""
    bound = float(clip_value)
    with no_grad():
        for param in _with_gradients(parameters):
            assert param.grad is not None
            param.grad = param.grad.detach().clamp(-bound, bound)
