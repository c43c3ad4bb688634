"""What training does to the gradients of parameters between ``backward`` and the optimiser's step."""

from __future__ import annotations

from ggml.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_"]
