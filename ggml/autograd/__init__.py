"""Gradients: the way back over the tape, with PyTorch's names, and the derivatives of the table's rows."""

from __future__ import annotations

from ggml.autograd import rules as _rules  # noqa: F401  # enters the derivatives
from ggml.autograd.anomaly import detect_anomaly, set_detect_anomaly
from ggml.autograd.calls import backward, grad
from ggml.autograd.engine import queue_callback
from ggml.autograd.function import Function
from ggml.core.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "inference_mode",
    "no_grad",
    "queue_callback",
    "set_detect_anomaly",
    "set_grad_enabled",
]
