"""How well scores tell two classes apart, whatever the threshold."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.metrics import inputs
from ggml.metrics.metric import Metric


class AUROC(Metric):
    """See ``auroc``. It keeps every score, 9 bytes each in float64."""

    _empty: ClassVar[dict[str, Any]] = {"scores": np.zeros(0, np.float64), "target": np.zeros(0, np.bool_)}

    def update(self, preds: Any, target: Any) -> Self:
        """Scores and classes 0 and 1, of one shape."""
        scores, wanted = inputs.array("auroc", preds, "preds"), inputs.array("auroc", target, "target")
        if scores.shape != wanted.shape:
            raise ShapeMismatchError("auroc", f"scores in the target's shape {wanted.shape}", scores.shape)
        if scores.dtype.kind != "f":
            raise DTypeError("auroc", "scores as preds", scores.dtype)
        known = inputs.classes("auroc", wanted, "target")
        if known.size and int(known.max()) > 1:
            raise ArgumentError("auroc", "target", f"must hold the classes 0 and 1: {known.max()}")
        if np.isnan(scores).any():
            raise ArgumentError("auroc", "preds", "has NaN, which cannot be put in order")
        # Many small batches are joined by `compute`, so that the time does not grow with the square of their number.
        self._state["scores"] = [*_parts(self._state["scores"]), scores.reshape(-1).astype(np.float64)]
        self._state["target"] = [*_parts(self._state["target"]), known > 0]
        return self

    def state_dict(self) -> dict[str, Any]:
        self._join()
        return super().state_dict()

    def _join(self) -> None:
        self._state = {name: np.concatenate(_parts(value)) for name, value in self._state.items()}

    def compute(self) -> float:
        self._join()
        scores, is_one = np.asarray(self._state["scores"]), np.asarray(self._state["target"], np.bool_)
        inputs.need_counted("auroc", scores.size)
        ones = int(is_one.sum())
        others = scores.size - ones
        if not ones or not others:
            raise ArgumentError("auroc", "target", "has one class only: the area is not defined")
        # Mann and Whitney's count by ranks: equal scores share the mean of their ranks, and so count as half.
        _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
        last = np.cumsum(count)
        ranks = (last - (count - 1) / 2)[place]
        return float((ranks[is_one].sum() - ones * (ones + 1) / 2) / (ones * others))


def _parts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def auroc(preds: Any, target: Any) -> float:
    """The area under the ROC curve of two classes: how likely a 1 has a higher score than a 0, equals counting half.

    ``preds`` are scores in the shape of ``target``, which holds 0 and 1. ArgumentError where there is only one of both.
    """
    return AUROC().update(preds, target).compute()
