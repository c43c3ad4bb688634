"""Means over batches of any size, and the perplexity that is made of one."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self

import numpy as np

from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.core.grad_mode import no_grad
from ggml.metrics import inputs
from ggml.metrics.metric import Metric
from ggml.ops.loss.classes import cross_entropy
from ggml.tensors.tensor import Tensor


class Mean(Metric):
    """The weighted mean of all values: ``update(loss, batch_size)``."""

    _empty: ClassVar[dict[str, Any]] = {"total": 0.0, "weight": 0.0}

    def update(self, value: Any, weight: Any = 1.0) -> Self:
        """A number or several; ``weight`` is one for all of them, or one for each."""
        values = inputs.array("mean", value, "value").astype(np.float64)
        weights = inputs.array("mean", weight, "weight").astype(np.float64)
        if weights.shape not in ((), values.shape):
            raise ShapeMismatchError("mean", f"one weight, or weights {values.shape}", weights.shape)
        if not bool(np.all(weights >= 0)):
            raise ArgumentError("mean", "weight", "must not be negative")
        self._state["total"] += float((values * weights).sum())
        self._state["weight"] += float(np.broadcast_to(weights, values.shape).sum())
        return self

    def compute(self) -> float:
        inputs.need_counted("mean", self._state["weight"])
        return float(self._state["total"] / self._state["weight"])


class Perplexity(Metric):
    """See ``perplexity``."""

    _empty: ClassVar[dict[str, Any]] = {"nll": 0.0, "count": 0}

    def __init__(self, ignore_index: int = -100) -> None:
        self.ignore_index = ignore_index
        super().__init__()

    def update(self, preds: Tensor, target: Tensor) -> Self:
        """``preds`` and ``target`` as ``perplexity`` takes them."""
        for value in (preds, target):
            if not isinstance(value, Tensor):
                raise DTypeError("perplexity", "tensors", type(value).__name__)
        if preds.ndim < 1 or preds.shape[:-1] != target.shape:
            raise ShapeMismatchError(
                "perplexity", f"preds [..., V] for the target {tuple(target.shape)}", tuple(preds.shape)
            )
        flat = target.detach().reshape((-1,))
        with no_grad():
            rows = preds.detach().float().reshape((-1, preds.shape[-1]))
            losses = cross_entropy(rows, flat, ignore_index=self.ignore_index, reduction="none")
        self._state["nll"] += float(losses.numpy().astype(np.float64).sum())
        self._state["count"] += int((flat.numpy() != self.ignore_index).sum())
        return self

    def compute(self) -> float:
        inputs.need_counted("perplexity", self._state["count"])
        loss = self._state["nll"] / self._state["count"]
        return math.exp(loss) if loss < 709 else math.inf  # the exponential of more is beyond float64


def mean(value: Any, weight: Any = 1.0) -> float:
    """The weighted mean of numbers, added up in float64."""
    return Mean().update(value, weight).compute()


def perplexity(preds: Tensor, target: Tensor, ignore_index: int = -100) -> float:
    """The exponential of the mean negative log-likelihood of ``target`` [...] under the logits ``preds`` [..., V].

    Places whose target is ``ignore_index`` do not count.
    """
    return Perplexity(ignore_index).update(preds, target).compute()
