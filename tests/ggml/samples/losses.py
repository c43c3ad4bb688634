"""Losses."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import SHAPE, Draw, tensor
from tests.ggml.samples.common import Call, any_dtype, sample

_REDUCTION = st.sampled_from(["mean", "none", "sum", "mean", "other"])


def _dtype_name(x: Any) -> str:
    return str(x.dtype).removeprefix("torch.")


def _reductions(draw: Draw, is_old: bool = True) -> dict[str, Any]:
    """A reduction, now and then in the old words."""
    if is_old and draw(st.integers(0, 5)) == 0:
        flag = st.sampled_from([None, True, False])
        return {"size_average": draw(flag), "reduce": draw(flag)}
    return {"reduction": draw(_REDUCTION)}


def _pair(draw: Draw, row: Op, low: float = -3.0, high: float = 3.0, shape: Any = SHAPE) -> tuple[Any, Any, str]:
    dtype = any_dtype(draw, row)
    x = tensor(draw, shape, dtype, low, high)
    return x, tensor(draw, tuple(x.shape), dtype, low, high), dtype


def _signs(draw: Draw, shape: tuple[int, ...]) -> Any:
    return tensor(draw, shape, "int64", 0, 1) * 2 - 1


@sample
def regression(draw: Draw, row: Op) -> Call:
    x, y, dtype = _pair(draw, row)
    kwargs = _reductions(draw)
    if draw(st.integers(0, 3)) == 0:
        y = tensor(draw, tuple(x.shape[1:]), dtype)
    elif draw(st.integers(0, 3)) == 0:
        kwargs["weight"] = tensor(draw, tuple(x.shape), dtype, 0.5, 2)
    return Call([x, y], kwargs)


@sample
def smooth_l1_loss(draw: Draw, row: Op) -> Call:
    x, y, _ = _pair(draw, row)
    return Call([x, y], {**_reductions(draw), "beta": draw(st.sampled_from([1.0, 0.5, 0.0, -1.0]))})


@sample
def huber_loss(draw: Draw, row: Op) -> Call:
    x, y, dtype = _pair(draw, row)
    kwargs = {"reduction": draw(_REDUCTION), "delta": draw(st.sampled_from([1.0, 0.5, 0.0]))}
    if draw(st.integers(0, 3)) == 0:
        kwargs["weight"] = tensor(draw, tuple(x.shape), dtype, 0.5, 2)
    return Call([x, y], kwargs)


@sample
def soft_margin_loss(draw: Draw, row: Op) -> Call:
    x, _, _ = _pair(draw, row)
    return Call([x, _signs(draw, tuple(x.shape))], _reductions(draw))


@sample
def binary_cross_entropy(draw: Draw, row: Op) -> Call:
    x, y, dtype = _pair(draw, row, 0.0, 1.0)
    extra = [tensor(draw, tuple(x.shape), dtype, 0, 2)] if draw(st.booleans()) else []
    return Call([x, y, *extra], _reductions(draw))


@sample
def binary_cross_entropy_with_logits(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    bound = 9 if dtype == "float32" else 1  # in 16 bits PyTorch rounds what it then subtracts
    x = tensor(draw, SHAPE, dtype, -bound, bound)
    y = tensor(draw, tuple(x.shape), dtype, 0, 1)
    kwargs = _reductions(draw)
    if draw(st.booleans()):
        kwargs["pos_weight"] = tensor(draw, tuple(x.shape[-1:]), dtype, 0.5, 3)
    if draw(st.booleans()):
        kwargs["weight"] = tensor(draw, tuple(x.shape), dtype, 0, 2)
    return Call([x, y], kwargs)


@sample
def kl_div(draw: Draw, row: Op) -> Call:
    is_log = draw(st.booleans())
    x, y, _ = _pair(draw, row, -3.0 if is_log else 0.0, 1.0)
    kwargs = _reductions(draw)
    if "reduction" in kwargs and draw(st.booleans()):
        kwargs["reduction"] = "batchmean"
    return Call([x, y], {**kwargs, "log_target": is_log})


@sample
def poisson_nll_loss(draw: Draw, row: Op) -> Call:
    x, y, dtype = _pair(draw, row, 0.1, 1.0)
    kwargs = {**_reductions(draw), "log_input": draw(st.booleans()), "full": draw(st.booleans()), "eps": 1e-2}
    return Call([x * 4, y * 4] if dtype == "float32" else [x, y], kwargs)


@sample
def gaussian_nll_loss(draw: Draw, row: Op) -> Call:
    x, y, dtype = _pair(draw, row)
    shape = tuple(x.shape)
    cut = draw(st.sampled_from([shape, shape[:-1], (*shape[:-1], 1), (7, 2)]))
    var: Any = 0.5 if draw(st.integers(0, 4)) == 0 else tensor(draw, cut, dtype, 0, 2)
    return Call([x, y, var], {"full": draw(st.booleans()), "reduction": draw(_REDUCTION), "eps": 1e-2})


@sample
def nll_loss(draw: Draw, row: Op) -> Call:
    dtype, num_classes = any_dtype(draw, row), draw(st.integers(1, 5))
    outer = draw(st.one_of(st.just(()), st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)))
    shape = (*outer[:1], num_classes, *outer[1:])
    x = tensor(draw, shape, dtype)
    y = tensor(draw, outer, "int64", 0, num_classes - 1)
    kwargs = _reductions(draw)
    if draw(st.booleans()):
        kwargs["ignore_index"] = draw(st.sampled_from([-100, 0, 1]))
    if draw(st.booleans()):
        kwargs["weight"] = tensor(draw, (num_classes,), dtype, 0.5, 2)
    return Call([x, y], kwargs)


@sample
def cross_entropy(draw: Draw, row: Op) -> Call:
    call = nll_loss(draw, row)
    x = call.args[0]
    if draw(st.integers(0, 2)) == 0:
        call.args[1] = tensor(draw, tuple(x.shape), _dtype_name(x), 0, 1)
        call.kwargs.pop("ignore_index", None)
    call.kwargs["label_smoothing"] = draw(st.sampled_from([0.0, 0.0, 0.1, 1.0, 1.5]))
    return call


@sample
def multi_margin_loss(draw: Draw, row: Op) -> Call:
    dtype, num_classes = any_dtype(draw, row), draw(st.integers(1, 5))
    outer = draw(st.one_of(st.just(()), st.integers(1, 4).map(lambda n: (n,))))
    kwargs = {**_reductions(draw), "p": draw(st.sampled_from([1, 2, 3])), "margin": draw(st.sampled_from([1.0, 0.3]))}
    if draw(st.booleans()):
        kwargs["weight"] = tensor(draw, (num_classes,), dtype, 0.5, 2)
    return Call([tensor(draw, (*outer, num_classes), dtype), tensor(draw, outer, "int64", 0, num_classes - 1)], kwargs)


@sample
def multilabel_margin_loss(draw: Draw, row: Op) -> Call:
    num_classes = draw(st.integers(1, 5))
    outer = draw(st.one_of(st.just(()), st.integers(1, 4).map(lambda n: (n,))))
    shape = (*outer, num_classes)
    return Call([tensor(draw, shape, any_dtype(draw, row)), tensor(draw, shape, "int64", -1, num_classes - 1)],
                _reductions(draw))  # fmt: skip


@sample
def multilabel_soft_margin_loss(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    x = tensor(draw, st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple), dtype)
    kwargs = _reductions(draw)
    if draw(st.booleans()):
        kwargs["weight"] = tensor(draw, tuple(x.shape[-1:]), dtype, 0, 2)
    return Call([x, tensor(draw, tuple(x.shape), dtype, 0, 1)], kwargs)


@sample
def hinge_embedding_loss(draw: Draw, row: Op) -> Call:
    x, _, _ = _pair(draw, row)
    return Call([x, _signs(draw, tuple(x.shape))], {**_reductions(draw), "margin": draw(st.sampled_from([1.0, 0.2]))})


@sample
def margin_ranking_loss(draw: Draw, row: Op) -> Call:
    x, y, _ = _pair(draw, row)
    return Call([x, y, _signs(draw, tuple(x.shape))], {**_reductions(draw), "margin": draw(st.sampled_from([0, 0.5]))})


@sample
def cosine_embedding_loss(draw: Draw, row: Op) -> Call:
    # In three and more dimensions: nearly parallel vectors leave only rounding errors to compare.
    shape = st.sampled_from([(4,), (3,), (2, 4), (5, 3), (0, 3)])
    # In 16 bits PyTorch's 1e-12 is 0, and a difference from 1 has few digits.
    x = tensor(draw, shape, "float32", -2.0, 2.0)
    y = tensor(draw, tuple(x.shape), "float32", -2.0, 2.0)
    return Call([x, y, _signs(draw, tuple(x.shape[:-1]))], {**_reductions(draw), "margin": 0.25})


@sample
def triplet_margin_loss(draw: Draw, row: Op) -> Call:
    shape = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
    x, y, dtype = _pair(draw, row, shape=shape)
    kwargs = {"swap": draw(st.booleans()), "margin": draw(st.sampled_from([1.0, 3.0, 0.0])),
              "reduction": draw(_REDUCTION)}  # fmt: skip
    if row.name == "triplet_margin_loss":
        kwargs["p"] = draw(st.sampled_from([2, 1.0, 3]))
    return Call([x, y, tensor(draw, tuple(x.shape), dtype)], kwargs)


@sample
def triplet_margin_with_distance_loss(draw: Draw, row: Op) -> Call:
    return triplet_margin_loss(draw, row)


@sample
def one_hot(draw: Draw, row: Op) -> Call:
    x = tensor(draw, SHAPE, "int64", 0, 4)
    return Call([x], {"num_classes": draw(st.sampled_from([-1, 5, 9, 3, 0]))})


@sample
def embedding_bag(draw: Draw, row: Op) -> Call:
    count, width = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    dtype = draw(st.sampled_from(["float32", "float32", "float16", "bfloat16"]))
    kwargs: dict[str, Any] = {"mode": draw(st.sampled_from(["sum", "mean", "max"]))}
    if draw(st.booleans()):
        x = tensor(draw, (draw(st.integers(0, 4)), draw(st.integers(1, 4))), any_dtype(draw, row), 0, count - 1)
    else:
        x = tensor(draw, (draw(st.integers(0, 7)),), any_dtype(draw, row), 0, count - 1)
        cuts = sorted(draw(st.lists(st.integers(0, x.shape[0]), max_size=4)))
        kwargs["include_last_offset"] = draw(st.booleans())
        ends = [x.shape[0]] if kwargs["include_last_offset"] else []
        kwargs["offsets"] = x.new_tensor([0, *cuts, *ends])
    if kwargs["mode"] == "sum" and draw(st.booleans()):
        kwargs["per_sample_weights"] = tensor(draw, tuple(x.shape), dtype)
    if draw(st.booleans()):
        kwargs["padding_idx"] = draw(st.integers(-count, count - 1))
    return Call([x, tensor(draw, (count, width), dtype)], kwargs)
