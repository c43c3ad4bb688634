"""Metrics beside scikit-learn's, whole and in batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ggml
from ggml import metrics

sklearn: Any = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: the extra test has it")

RNG = np.random.default_rng(0)
TARGET = RNG.integers(0, 5, 300)
PREDS = np.where(RNG.random(300) < 0.6, TARGET, RNG.integers(0, 5, 300))
SCORES = RNG.standard_normal((300, 5)).astype(np.float32)
BINARY = RNG.integers(0, 2, 300)
TIED = np.round(RNG.random(300) * 0.6 + BINARY * 0.3, 1).astype(np.float32)

THEIRS = {"precision": sklearn.precision_score, "recall": sklearn.recall_score, "f1_score": sklearn.f1_score}


def batches(metric: metrics.Metric, preds: Any, target: Any) -> Any:
    """The value after batches of uneven sizes, with the state carried into another object in the middle."""
    other = type(metric).__new__(type(metric))
    vars(other).update(vars(metric))
    other.reset()
    for first, last in ((0, 1), (1, 40), (40, 40), (40, 300)):
        metric.update(ggml.tensor(preds[first:last]), ggml.tensor(target[first:last]))  # type: ignore[attr-defined]
        other.load_state_dict(metric.state_dict())
        metric, other = other, metric
    return metric.compute()


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
@pytest.mark.parametrize("name", ["precision", "recall", "f1_score"])
@pytest.mark.parametrize("lacks", [(), (2,), (0, 4)], ids=str)
def test_counts_of_classes_equal_sklearn(name: str, average: Any, lacks: tuple[int, ...]) -> None:
    preds, target = (np.where(np.isin(one, lacks), 1, one) for one in (PREDS, TARGET))
    theirs = THEIRS[name]
    kinds = {"precision": metrics.Precision, "recall": metrics.Recall, "f1_score": metrics.F1Score}
    labels = range(5) if average is None else None
    wanted = theirs(target, preds, average=average, labels=labels, zero_division=0)
    classes = 5 if average is None else None
    for found in (
        getattr(metrics, name)(ggml.tensor(preds), ggml.tensor(target), average, classes),
        batches(kinds[name](average, classes), preds, target),
    ):
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-6 if average is None else 1e-12)
    wanted = theirs(target, preds, average="macro", labels=range(5), zero_division=1)
    assert getattr(metrics, name)(preds, target, "macro", 5, zero_division=1) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", ["precision", "recall", "f1_score"])
def test_two_classes_equal_sklearn(name: str) -> None:
    wanted = THEIRS[name](BINARY, TIED > 0.5)
    assert getattr(metrics, name)(ggml.tensor(TIED), ggml.tensor(BINARY), "binary") == pytest.approx(wanted, rel=1e-12)
    nothing = np.zeros(4, np.int64)
    assert getattr(metrics, name)(nothing, nothing, "binary") == 0
    assert getattr(metrics, name)(nothing, nothing, "binary", zero_division=1) == 1


@pytest.mark.parametrize("top_k", [1, 2, 4, 5, 9])
def test_accuracy_equals_sklearn(top_k: int) -> None:
    wanted = sklearn.top_k_accuracy_score(TARGET, SCORES, k=top_k) if top_k < 5 else 1.0
    assert metrics.accuracy(ggml.tensor(SCORES), ggml.tensor(TARGET), top_k) == pytest.approx(wanted, rel=1e-12)
    assert batches(metrics.Accuracy(top_k), SCORES, TARGET) == pytest.approx(wanted, rel=1e-12)


def test_accuracy_of_classes_ties_and_planes() -> None:
    assert metrics.accuracy(PREDS, TARGET) == sklearn.accuracy_score(TARGET, PREDS)
    level = ggml.zeros(3, 4)
    assert metrics.accuracy(level, ggml.tensor([0, 1, 3])) == metrics.accuracy(level, ggml.tensor([0, 1, 3]), 1)
    assert metrics.accuracy(level, ggml.tensor([0, 1, 3]), 2) == pytest.approx(2 / 3)
    planes = ggml.tensor(SCORES[:60].reshape(4, 5, 15))
    wanted = (planes.numpy().argmax(1) == TARGET[:60].reshape(4, 15)).mean()
    assert metrics.accuracy(planes, TARGET[:60].reshape(4, 15)) == pytest.approx(wanted)
    unknown = ggml.tensor([[math.nan, 1.0], [0.0, math.nan]])
    assert metrics.accuracy(unknown, ggml.tensor([0, 0]), 2) == 0.5


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_equals_sklearn(normalize: Any) -> None:
    wanted = sklearn.confusion_matrix(TARGET, PREDS, normalize=normalize)
    found = metrics.confusion_matrix(ggml.tensor(PREDS), ggml.tensor(TARGET), 5, normalize)
    assert found.dtype is (ggml.int64 if normalize is None else ggml.float32)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    np.testing.assert_allclose(batches(metrics.ConfusionMatrix(None, normalize), PREDS, TARGET).numpy(), wanted, 1e-6)


def test_auroc_equals_sklearn_with_ties() -> None:
    wanted = sklearn.roc_auc_score(BINARY, TIED)
    assert len(np.unique(TIED)) < 20
    assert metrics.auroc(ggml.tensor(TIED), ggml.tensor(BINARY)) == pytest.approx(wanted, rel=1e-12)
    assert batches(metrics.AUROC(), TIED, BINARY) == pytest.approx(wanted, rel=1e-12)
    assert metrics.auroc([0.5, 0.5, 0.5], [0, 1, 1]) == 0.5
    assert metrics.auroc([-math.inf, math.inf], [0, 1]) == 1.0


def test_perplexity_and_mean() -> None:
    target = np.where(RNG.random(300) < 0.2, -100, TARGET)
    logits = SCORES.astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    known = target != -100
    wanted = math.exp(-logs[known, target[known]].mean())
    shaped = ggml.tensor(SCORES).reshape(10, 30, 5), ggml.tensor(target).reshape(10, 30)
    assert metrics.perplexity(*shaped) == pytest.approx(wanted, rel=1e-6)
    assert batches(metrics.Perplexity(), SCORES, target) == pytest.approx(wanted, rel=1e-6)
    running = metrics.Mean()
    for first, last in ((0, 7), (7, 300)):
        running.update(ggml.tensor(TIED[first:last]).mean(), last - first)
    assert running.compute() == pytest.approx(TIED.astype(np.float64).mean(), rel=1e-6)
    assert metrics.mean([1.0, 3.0], [3.0, 1.0]) == 1.5
    assert running.reset().update(2.0).compute() == 2.0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: metrics.accuracy([0, 1], [0, 1, 2]), ggml.ShapeMismatchError, "accuracy: got"),
        (lambda: metrics.accuracy([0], ["a"]), ggml.DTypeError, "target"),
        (lambda: metrics.accuracy([-1], [0]), ggml.ArgumentError, "preds must hold classes from 0"),
        (lambda: metrics.accuracy([[0.1, 0.9]], [2], 2), ggml.ArgumentError, "class 2"),
        (lambda: metrics.accuracy([0], [0], 0), ggml.ArgumentError, "top_k"),
        (lambda: metrics.Accuracy().compute(), ggml.ArgumentError, "update"),
        (lambda: metrics.precision([1 << 40], [0]), ggml.ArgumentError, "must hold classes"),
        (lambda: metrics.precision([3], [0], "binary"), ggml.ArgumentError, "there are 2 classes"),
        (lambda: metrics.recall([0], [0], "mean"), ggml.ArgumentError, "average"),
        (lambda: metrics.confusion_matrix([1 << 20], [0]), ggml.ArgumentError, "at most 16384"),
        (lambda: metrics.auroc([0.1, 0.2], [1, 1]), ggml.ArgumentError, "one class only"),
        (lambda: metrics.auroc([0.1, math.nan], [1, 0]), ggml.ArgumentError, "NaN"),
        (lambda: metrics.auroc([0.1], [2]), ggml.ArgumentError, "classes 0 and 1"),
        (lambda: metrics.perplexity(ggml.zeros(2, 3), ggml.zeros(3).long()), ggml.ShapeMismatchError, "V"),
        (lambda: metrics.Mean().load_state_dict({"sum": 1}), ggml.StateDictError, "missing keys: total, weight"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
