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


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of all tensors, such as gradients, in float32. ``foreach`` has no effect.

    ArgumentError for one that is not finite, if ``error_if_nonfinite``, which computes it.
    """
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not listed:
        return zeros(())
    with no_grad():
        total = stack([one.detach().float().norm(norm_type) for one in listed]).norm(norm_type)
        if error_if_nonfinite and not math.isfinite(total.item()):
            raise ArgumentError("clip_grad_norm_", "parameters", "have gradients whose norm is not finite")
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by one factor, at most 1, that brings ``total_norm`` to ``max_norm``."""
    with no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for param in _with_gradients(parameters):
            assert param.grad is not None
            gradient = param.grad.detach()
            param.grad = (gradient * factor).to(gradient.dtype)


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
    total = get_total_norm([one.grad for one in params if one.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(params, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Every element of the gradients brought into [-clip_value, clip_value]. ``foreach`` has no effect."""
    bound = float(clip_value)
    with no_grad():
        for param in _with_gradients(parameters):
            assert param.grad is not None
            param.grad = param.grad.detach().clamp(-bound, bound)
