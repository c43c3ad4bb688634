"""Precision, recall and F1: what is made of three counts for each class."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError
from ggml.metrics import inputs
from ggml.metrics.metric import Metric
from ggml.ops.create.factories import tensor
from ggml.tensors.tensor import Tensor

#: How classes become one number: over all counts together, the mean of the classes, that weighted by how often each
#: is true, class 1 alone, or no number at all but one for each class.
Average = Literal["micro", "macro", "weighted", "binary"] | None

_NO_COUNTS = np.zeros(0, np.int64)


class _Counted(Metric):
    """Counts for each class how often it was predicted, true, and both."""

    _name = ""
    _empty: ClassVar[dict[str, Any]] = {"both": _NO_COUNTS, "predicted": _NO_COUNTS, "true": _NO_COUNTS}

    def __init__(
        self,
        average: Average = "macro",
        num_classes: int | None = None,
        zero_division: float = 0.0,
        threshold: float = 0.5,
    ) -> None:
        if average not in ("micro", "macro", "weighted", "binary", None):
            raise ArgumentError(self._name, "average", f"is micro, macro, weighted, binary or None: {average!r}")
        if num_classes is not None and not 1 <= num_classes <= inputs.MAX_CLASSES:
            raise ArgumentError(self._name, "num_classes", f"must lie in [1, {inputs.MAX_CLASSES}]: {num_classes}")
        self.average, self.num_classes = average, num_classes
        self.zero_division, self.threshold = float(zero_division), float(threshold)
        super().__init__()

    def update(self, preds: Any, target: Any) -> Self:
        """``preds`` and ``target`` as ``accuracy`` takes them."""
        given, wanted = inputs.labels(self._name, preds, target, self.threshold)
        highest = max([-1, *[int(one.max()) for one in (given, wanted) if one.size]])
        limit = 2 if self.average == "binary" else self.num_classes
        if limit is not None and highest >= limit:
            raise ArgumentError(self._name, "preds and target", f"have class {highest}; there are {limit} classes")
        batch = {"both": given[given == wanted], "predicted": given, "true": wanted}
        length = max(highest + 1, limit or 0, len(self._state["true"]))
        for name, found in batch.items():
            before = self._state[name]
            counts = np.bincount(found, minlength=length).astype(np.int64)
            counts[: len(before)] += before
            self._state[name] = counts
        return self

    def compute(self) -> Any:
        both, predicted, true = (np.asarray(self._state[name], np.int64) for name in ("both", "predicted", "true"))
        inputs.need_counted(self._name, int(true.sum()))
        if self.average == "binary":
            return float(self._of(both[1:2], predicted[1:2], true[1:2])[0])
        if self.average == "micro":
            return float(self._of(*[one.sum(keepdims=True) for one in (both, predicted, true)])[0])
        each = self._of(both, predicted, true)
        if self.average is None:
            return tensor(each.astype(np.float32))
        if self.average == "weighted":
            return float(np.average(each, weights=true))
        # A class that never came is no class, unless somebody said how many there are.
        return float(each.mean() if self.num_classes is not None else each[(predicted + true) > 0].mean())

    def _of(self, both: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
        raise NotImplementedError

    def _ratio(self, part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
        known = whole > 0
        return np.where(known, part / np.where(known, whole, 1), self.zero_division)


class Precision(_Counted):
    """See ``precision``."""

    _name = "precision"

    def _of(self, both: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
        return self._ratio(both, predicted)


class Recall(_Counted):
    """See ``recall``."""

    _name = "recall"

    def _of(self, both: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
        return self._ratio(both, true)


class F1Score(_Counted):
    """See ``f1_score``."""

    _name = "f1_score"

    def _of(self, both: NDArray[Any], predicted: NDArray[Any], true: NDArray[Any]) -> NDArray[np.float64]:
        return self._ratio(2 * both, predicted + true)


def precision(
    preds: Any,
    target: Any,
    average: Average = "macro",
    num_classes: int | None = None,
    zero_division: float = 0.0,
    threshold: float = 0.5,
) -> float | Tensor:
    """How many of those that were predicted as a class are of it.

    ``average`` is "micro", "macro", "weighted" (by how often a class is true) or "binary" (class 1 of two); None gives
    a tensor [C], one number for each class from 0 on. Without ``num_classes`` the mean is taken over those classes that
    came. A class that was never predicted has ``zero_division``. ``preds`` and ``target`` are as for ``accuracy``.
    """
    found: float | Tensor = Precision(average, num_classes, zero_division, threshold).update(preds, target).compute()
    return found


def recall(
    preds: Any,
    target: Any,
    average: Average = "macro",
    num_classes: int | None = None,
    zero_division: float = 0.0,
    threshold: float = 0.5,
) -> float | Tensor:
    """How many of those that are of a class were predicted so. Arguments as for ``precision``."""
    found: float | Tensor = Recall(average, num_classes, zero_division, threshold).update(preds, target).compute()
    return found


def f1_score(
    preds: Any,
    target: Any,
    average: Average = "macro",
    num_classes: int | None = None,
    zero_division: float = 0.0,
    threshold: float = 0.5,
) -> float | Tensor:
    """The harmonic mean of precision and recall of each class. Arguments as for ``precision``."""
    found: float | Tensor = F1Score(average, num_classes, zero_division, threshold).update(preds, target).compute()
    return found
