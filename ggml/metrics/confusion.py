"""Which class was taken for which."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np

from ggml.core.errors import ArgumentError
from ggml.metrics import inputs
from ggml.metrics.metric import Metric
from ggml.ops.create.factories import tensor
from ggml.tensors.tensor import Tensor

#: What the counts are divided by: nothing, the sum of their row, of their column, or of all.
Normalize = Literal["true", "pred", "all"] | None

#: A matrix of more classes would take more than 2 GiB.
_MAX_CLASSES = 1 << 14


class ConfusionMatrix(Metric):
    """See ``confusion_matrix``."""

    _empty: ClassVar[dict[str, Any]] = {"counts": np.zeros((0, 0), np.int64)}

    def __init__(self, num_classes: int | None = None, normalize: Normalize = None, threshold: float = 0.5) -> None:
        if num_classes is not None and not 1 <= num_classes <= _MAX_CLASSES:
            raise ArgumentError("confusion_matrix", "num_classes", f"must lie in [1, {_MAX_CLASSES}]: {num_classes}")
        if normalize not in ("true", "pred", "all", None):
            raise ArgumentError("confusion_matrix", "normalize", f"is true, pred, all or None: {normalize!r}")
        self.num_classes, self.normalize, self.threshold = num_classes, normalize, float(threshold)
        super().__init__()

    def update(self, preds: Any, target: Any) -> Self:
        """``preds`` and ``target`` as ``accuracy`` takes them."""
        given, wanted = inputs.labels("confusion_matrix", preds, target, self.threshold)
        before = np.asarray(self._state["counts"])
        highest = max([-1, *[int(one.max()) for one in (given, wanted) if one.size]])
        limit = _MAX_CLASSES if self.num_classes is None else self.num_classes
        if highest >= limit:
            raise ArgumentError(
                "confusion_matrix", "preds and target", f"have class {highest}; at most {limit} classes are possible"
            )
        count = max(highest + 1, self.num_classes or 0, len(before))
        counts = np.bincount(wanted * count + given, minlength=count * count).reshape(count, count).astype(np.int64)
        counts[: len(before), : len(before)] += before
        self._state["counts"] = counts
        return self

    def compute(self) -> Tensor:
        counts = np.asarray(self._state["counts"], np.int64)
        inputs.need_counted("confusion_matrix", int(counts.sum()))
        if self.normalize is None:
            return tensor(counts)
        axis = {"true": 1, "pred": 0, "all": None}[self.normalize]
        whole = counts.sum(axis=axis, keepdims=True)
        return tensor((counts / np.where(whole > 0, whole, 1)).astype(np.float32))


def confusion_matrix(
    preds: Any,
    target: Any,
    num_classes: int | None = None,
    normalize: Normalize = None,
    threshold: float = 0.5,
) -> Tensor:
    """Counts [C, C] in int64: row ``t``, column ``p`` says how often class ``t`` was predicted as ``p``.

    C is ``num_classes``, or one more than the highest class. ``normalize`` divides by the sum of the row ("true"), of
    the column ("pred") or of all counts, in float32; what would be divided by nothing is 0. ``preds`` and ``target``
    are as for ``accuracy``.
    """
    return ConfusionMatrix(num_classes, normalize, threshold).update(preds, target).compute()
