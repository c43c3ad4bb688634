"""Loss layers against PyTorch's, and what the table's tests cannot draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch

import ggml
from ggml import nn
from ggml.ops.loss import distances
from ggml.ops.reduce import comparing
from tests.ggml.arrays import to_ggml
from tests.ggml.both import twins
from tests.ggml.compare import assert_same

F = ggml.nn.functional

CLASSES = "torch.tensor([0.5, 1.0, 2.0])"
SIGNS = torch.tensor([1, -1, 1, -1])

torch.manual_seed(0)
ROWS, OTHERS, THIRD = torch.randn(4, 3), torch.randn(4, 3), torch.randn(4, 3)
SHARES, NUMBERS = torch.rand(4, 3), torch.tensor([2, 0, 1, 2])

LAYERS: list[tuple[str, tuple[Any, ...]]] = [
    ("nn.L1Loss()", (ROWS, OTHERS)),
    ("nn.L1Loss(size_average=False)", (ROWS, OTHERS)),
    ("nn.MSELoss(reduction='sum')", (ROWS, OTHERS)),
    ("nn.MSELoss(reduce=False)", (ROWS, OTHERS)),
    ("nn.SmoothL1Loss(beta=0.5)", (ROWS, OTHERS)),
    ("nn.HuberLoss(delta=0.3)", (ROWS, OTHERS)),
    ("nn.SoftMarginLoss()", (ROWS, OTHERS.sign())),
    (f"nn.BCELoss({CLASSES})", (SHARES, SHARES.round())),
    (f"nn.BCEWithLogitsLoss(pos_weight={CLASSES}, reduction='none')", (ROWS, SHARES)),
    ("nn.KLDivLoss(reduction='batchmean', log_target=True)", (ROWS, OTHERS)),
    ("nn.PoissonNLLLoss(full=True)", (ROWS, 3 * SHARES)),
    ("nn.PoissonNLLLoss(False, eps=1e-3)", (SHARES, 3 * SHARES)),
    ("nn.GaussianNLLLoss(full=True)", (ROWS, OTHERS, SHARES)),
    (f"nn.NLLLoss({CLASSES}, ignore_index=2)", (ROWS.log_softmax(1), NUMBERS)),
    (f"nn.CrossEntropyLoss({CLASSES}, label_smoothing=0.1)", (ROWS, NUMBERS)),
    ("nn.CrossEntropyLoss(reduction='sum')", (ROWS, SHARES)),
    (f"nn.MultiMarginLoss(2, 0.5, {CLASSES})", (ROWS, NUMBERS)),
    ("nn.MultiLabelMarginLoss()", (ROWS, torch.tensor([[0, -1, 1], [1, 2, -1], [-1, 0, 0], [2, 1, 0]]))),
    (f"nn.MultiLabelSoftMarginLoss({CLASSES})", (ROWS, SHARES.round())),
    ("nn.HingeEmbeddingLoss(0.5)", (ROWS[:, 0], SIGNS)),
    ("nn.MarginRankingLoss(0.5)", (ROWS[:, 0], ROWS[:, 1], SIGNS)),
    ("nn.CosineEmbeddingLoss(0.1, reduction='sum')", (ROWS, OTHERS, SIGNS)),
    ("nn.TripletMarginLoss(2.0, p=1.0, swap=True)", (ROWS, OTHERS, THIRD)),
    ("nn.TripletMarginWithDistanceLoss(margin=2.0)", (ROWS, OTHERS, THIRD)),
    ("nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance(1.0))", (ROWS, OTHERS, THIRD)),
    ("nn.CosineSimilarity(dim=0)", (ROWS, OTHERS)),
    ("nn.PairwiseDistance(keepdim=True)", (ROWS, OTHERS)),
    ("nn.EmbeddingBag(5, 3)", (torch.tensor([[1, 2], [0, 4]]),)),
    ("nn.EmbeddingBag(5, 3, mode='max', padding_idx=1)", (torch.tensor([1, 2, 0, 4]), torch.tensor([0, 1, 1]))),
    ("nn.EmbeddingBag(5, 3, mode='sum', include_last_offset=True)",
     (torch.tensor([1, 2, 0]), torch.tensor([0, 2]), torch.tensor([1.0, 2.0, 3.0]))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "inputs"), LAYERS, ids=[text for text, _ in LAYERS])
@pytest.mark.filterwarnings("ignore")
def test_layer_equals_torch(text: str, inputs: tuple[Any, ...]) -> None:
    theirs, ours = twins(text)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    expected = theirs(*inputs)
    assert_same(ours(*to_ggml(inputs)), expected)
    assert_same(ggml.compile(ours)(*to_ggml(inputs)), expected)


# They hold weights of their own.
LEFT_OUT = {"AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss", "NLLLoss2d"}


def test_layers_are_complete() -> None:
    wanted = {name for name in dir(torch.nn) if name.endswith("Loss") and not name.startswith("_")}
    assert wanted - LEFT_OUT <= set(nn.__all__)


def test_bag_of_a_pretrained_weight() -> None:
    weight = ggml.tensor([[1.0, 2.0], [3.0, 5.0]])
    bag = nn.EmbeddingBag.from_pretrained(weight, mode="sum")
    assert bag(ggml.tensor([[0, 1]])).tolist() == [[4.0, 7.0]]
    bag = nn.EmbeddingBag(2, 2, max_norm=1.0, mode="sum", _weight=ggml.tensor([[3.0, 4.0], [0.0, 0.5]]))
    assert bag(ggml.tensor([[0, 1]])).tolist() == [pytest.approx([0.6, 1.3], rel=1e-5)]
    assert bag.weight[0].tolist() == pytest.approx([0.6, 0.8], rel=1e-5)


def test_a_class_out_of_range() -> None:
    for classes in ([3], [-1]):
        with pytest.raises(IndexError):
            F.cross_entropy(ggml.zeros(1, 3), ggml.tensor(classes)).item()
        with pytest.raises(IndexError):
            F.one_hot(ggml.tensor(classes), 3).tolist()
    with pytest.raises(ggml.ShapeMismatchError):
        F.cross_entropy(ggml.zeros(2, 3), ggml.tensor([1]))
    with pytest.raises(ggml.DTypeError):
        F.nll_loss(ggml.zeros(2, 3), ggml.tensor([1.0, 2.0]))


@pytest.mark.parametrize("bounds", [[1, 2], [0, 9], [0, 3, 2], [-1]])
def test_offsets_that_are_wrong(bounds: list[int]) -> None:
    with pytest.raises(IndexError):
        F.embedding_bag(ggml.tensor([0, 1, 2, 0]), ggml.ones(3, 2), ggml.tensor(bounds)).tolist()


def test_weights_that_do_not_lie_in_order() -> None:
    weight = ggml.ones(2, 3).T
    assert F.embedding_bag(ggml.tensor([[2, 1]]), weight, mode="sum").tolist() == [[2.0, 2.0]]


def test_large_logits_do_not_overflow() -> None:
    x, y = torch.tensor([[200.0, -200.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(x, y)
    assert_same(F.binary_cross_entropy_with_logits(*to_ggml([x, y])), expected)
    expected = torch.nn.functional.cross_entropy(x, torch.tensor([1]))
    assert_same(F.cross_entropy(*to_ggml([x, torch.tensor([1])])), expected)


def test_distances_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "_MAX_DIFFERENCES", 100)
    x, y = torch.randn(2, 11, 3), torch.randn(7, 3)
    expected = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    assert_same(ggml.cdist(*to_ggml([x, y])), expected)


def test_isin_by_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "_MAX_PAIRS", 4)
    rng = np.random.default_rng(0)
    x, known = torch.from_numpy(rng.integers(0, 30, (9, 7))), torch.from_numpy(rng.integers(0, 30, 12))
    assert_same(ggml.isin(*to_ggml([x, known])), torch.isin(x, known))
    assert_same(ggml.isin(*to_ggml([x, known]), invert=True), torch.isin(x, known, invert=True))
