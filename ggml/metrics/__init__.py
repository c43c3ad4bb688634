"""How good a model is: as functions, and as objects that batches are given to one after the other.

Arguments stand in the order of torchmetrics (``preds, target``); the numbers are scikit-learn's.
"""

from __future__ import annotations

from ggml.metrics.accuracies import Accuracy, accuracy
from ggml.metrics.confusion import ConfusionMatrix, confusion_matrix
from ggml.metrics.counted import F1Score, Precision, Recall, f1_score, precision, recall
from ggml.metrics.metric import Metric
from ggml.metrics.ranking import AUROC, auroc
from ggml.metrics.running import Mean, Perplexity, mean, perplexity

__all__ = [
    "AUROC",
    "Accuracy",
    "ConfusionMatrix",
    "F1Score",
    "Mean",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "accuracy",
    "auroc",
    "confusion_matrix",
    "f1_score",
    "mean",
    "perplexity",
    "precision",
    "recall",
]
