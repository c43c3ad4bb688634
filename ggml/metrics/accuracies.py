"""The share of predictions that are right."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.metrics import inputs
from ggml.metrics.metric import Metric


class Accuracy(Metric):
    """The share of right predictions; with ``top_k`` above 1, of targets among the ``top_k`` largest scores.

    Scores that are equal are ordered by their class, the lower first, as ``argmax`` does; scikit-learn's
    ``top_k_accuracy_score`` takes the higher first. A score of NaN comes before all others.
    """

    _empty: ClassVar[dict[str, Any]] = {"right": 0, "count": 0}

    def __init__(self, top_k: int = 1, threshold: float = 0.5) -> None:
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            raise ArgumentError("accuracy", "top_k", f"must be an integer from 1 on: {top_k!r}")
        self.top_k, self.threshold = top_k, float(threshold)
        super().__init__()

    def update(self, preds: Any, target: Any) -> Self:
        """``preds`` and ``target`` as ``accuracy`` takes them."""
        is_right = self._is_right(preds, target)
        self._state["right"] += int(is_right.sum())
        self._state["count"] += is_right.size
        return self

    def compute(self) -> float:
        inputs.need_counted("accuracy", self._state["count"])
        return float(self._state["right"] / self._state["count"])

    def _is_right(self, preds: Any, target: Any) -> NDArray[np.bool_]:
        if self.top_k == 1:
            given, wanted = inputs.labels("accuracy", preds, target, self.threshold)
            same: NDArray[np.bool_] = given == wanted
            return same
        scores = inputs.array("accuracy", preds, "preds")
        wanted = inputs.classes("accuracy", inputs.array("accuracy", target, "target"), "target")
        if scores.dtype.kind != "f":
            raise DTypeError("accuracy", "scores as preds where top_k is above 1", scores.dtype)
        if scores.ndim != 2 or scores.shape[0] != wanted.size:
            raise ShapeMismatchError("accuracy", f"scores [N, C] for the {wanted.size} targets", scores.shape)
        if wanted.size and int(wanted.max()) >= scores.shape[1]:
            raise ArgumentError("accuracy", "target", f"has class {wanted.max()}, preds {scores.shape[1]} classes")
        own = np.take_along_axis(scores, wanted[:, None], axis=1)
        is_lower = np.arange(scores.shape[1]) < wanted[:, None]
        before = (scores > own) | ((scores == own) & is_lower) | np.isnan(scores)
        found: NDArray[np.bool_] = (before.sum(axis=1) < self.top_k) & ~np.isnan(own[:, 0])
        return found


def accuracy(preds: Any, target: Any, top_k: int = 1, threshold: float = 0.5) -> float:
    """The share of right predictions, from 0 to 1.

    ``target`` holds classes, ``preds`` classes in its shape, scores [N, C, ...] for a target [N, ...], or for two
    classes scores in its shape, of which those above ``threshold`` mean class 1. With ``top_k`` above 1 the scores are
    [N, C], and a target counts as found among the ``top_k`` largest.
    """
    return Accuracy(top_k, threshold).update(preds, target).compute()
