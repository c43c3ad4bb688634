"""Special functions, walks over elements, sums over diagonals, and what PyTorch keeps twice."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import LONG_SHAPE, SHAPE, Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dim, any_dtype, any_tensor, sample

_RANGES = {
    "ndtri": (-0.1, 1.1),
    "entr": (-1.0, 9.0),
    "bessel_y0": (0.0, 40.0),
    "bessel_y1": (0.0, 40.0),
    "modified_bessel_k0": (0.0, 9.0),
    "modified_bessel_k1": (0.0, 9.0),
    "scaled_modified_bessel_k0": (0.0, 90.0),
    "scaled_modified_bessel_k1": (0.0, 90.0),
    "erfcx": (-4.0, 40.0),
}

# PyTorch has these for float32 alone, of the floating dtypes.
_WIDE_ONLY = ("bessel", "ndtri", "log_ndtr", "erfcx")


@sample
def special_unary(draw: Draw, row: Op) -> Call:
    low, high = _RANGES.get(row.name, (-9.0, 9.0))
    is_wide = any(part in row.name for part in _WIDE_ONLY)
    return Call([tensor(draw, LONG_SHAPE, "float32" if is_wide else any_dtype(draw, row), low, high)])


def _floats(draw: Draw, low: tuple[float, float], high: tuple[float, float], dtype: str = "float32") -> list[Any]:
    a = tensor(draw, LONG_SHAPE, dtype, low[0], high[0])
    return [a, tensor(draw, broadcastable(draw, tuple(a.shape)), dtype, low[1], high[1])]


@sample
def pair_zeta(draw: Draw, row: Op) -> Call:
    a, b = _floats(draw, (1.5, 0.5), (9.0, 9.0))
    return Call(draw(st.sampled_from([[a, b], [a, 2.5], [3, b]])))


@sample
def pair_igamma(draw: Draw, row: Op) -> Call:
    return Call(_floats(draw, (0.0, 0.0), (20.0, 30.0)))


@sample
def pair_igammac(draw: Draw, row: Op) -> Call:
    return pair_igamma(draw, row)


@sample
def pair_nextafter(draw: Draw, row: Op) -> Call:
    return Call(_floats(draw, (-4.0, -4.0), (4.0, 4.0)))


@sample
def polygamma(draw: Draw, row: Op) -> Call:
    return Call([draw(st.integers(-1, 4)), tensor(draw, LONG_SHAPE, any_dtype(draw, row), 1, 9)])


@sample
def polygamma_method(draw: Draw, row: Op) -> Call:
    return Call(polygamma(draw, row).args[::-1])


@sample
def mvlgamma(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    return Call([tensor(draw, LONG_SHAPE, dtype, 3, 9), draw(st.integers(0, 4))])


@sample
def trace(draw: Draw, row: Op) -> Call:
    shape = draw(st.one_of(SHAPE, st.tuples(st.integers(0, 5), st.integers(0, 5))))
    return Call([tensor(draw, shape, any_dtype(draw, row))])


@sample
def cov(draw: Draw, row: Op) -> Call:
    rows, columns = draw(st.integers(0, 4)), draw(st.integers(1, 6))
    x = tensor(draw, draw(st.sampled_from([(rows, columns), (columns,)])), any_dtype(draw, row))
    kind = str(x.dtype).removeprefix("torch.") if x.is_floating_point() else "float32"
    kwargs: dict[str, Any] = {"correction": draw(st.integers(0, 1))}
    if draw(st.booleans()):
        kwargs["fweights"] = tensor(draw, (columns,), "int64", draw(st.sampled_from([1, 1, 1, -2])), 4).contiguous()
    if draw(st.booleans()):
        kwargs["aweights"] = tensor(draw, (columns,), kind, 0.5, 2.0).contiguous()
    return Call([x], kwargs)


@sample
def corrcoef(draw: Draw, row: Op) -> Call:
    shape = draw(st.sampled_from([(3, 6), (2, 9), (1, 5), (5,)]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 32)))
    return Call([torch.rand(shape, generator=generator)])


def _walk(draw: Draw, x: Any) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    size = draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))
    stride = tuple(draw(st.integers(0, 4)) for _ in size)
    return size, stride, draw(st.integers(0, 3))


@sample
def as_strided(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row).contiguous().clone()
    return Call([x, *_walk(draw, x)])


@sample
def as_strided_scatter(draw: Draw, row: Op) -> Call:
    x = tensor(draw, (4, 6), any_dtype(draw, row)).contiguous().clone()
    kinds = [((4, 6), (6, 1)), ((2, 2), (6, 2)), ((3,), (8,)), ((9,), (9,)), ((2, 3), (1, 2))]
    size, stride = draw(st.sampled_from(kinds))
    return Call([x, tensor(draw, size, str(x.dtype).removeprefix("torch.")), size, stride, draw(st.integers(0, 3))])


@sample
def renorm(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple), any_dtype(draw, row))
    order, most = draw(st.sampled_from([1, 2, math.inf, 0])), draw(st.sampled_from([0.5, 2.0, 9.0]))
    return Call([x, order, any_dim(draw, x), most])


@sample
def unravel_index(draw: Draw, row: Op) -> Call:
    return Call([tensor(draw, LONG_SHAPE, any_dtype(draw, row), 0, 23), draw(st.sampled_from([(4, 6), (2, 3, 4), 24]))])


@sample
def split_with_sizes(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.just((3, 5)))
    return Call([x, draw(st.sampled_from([(2, 3), [5], [1, 1, 3], [2, 2], [0, 5]])), 1])


@sample
def adjoint(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple))])


@sample
def top_batch_norm(draw: Draw, row: Op) -> Call:
    x = tensor(draw, (draw(st.integers(2, 3)), 3, 4), any_dtype(draw, row)).contiguous()
    running = [torch.zeros(3, dtype=x.dtype), torch.ones(3, dtype=x.dtype)]
    weight = [torch.full((3,), 1.5, dtype=x.dtype), torch.ones(3, dtype=x.dtype)]
    given = draw(st.sampled_from([[*weight, *running], [None, None, *running], [*weight, None, None]]))
    return Call([x, *given, given[2] is None, 0.1, 1e-5, True])


@sample
def top_dropout(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row), 0.5, False])


@sample
def top_embedding(draw: Draw, row: Op) -> Call:
    weight = tensor(draw, (5, 3), any_dtype(draw, row))
    return Call([weight, tensor(draw, SHAPE, "int64", 0, 4)])


@sample
def constant_pad(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.just((3, 4)))
    return Call([x, draw(st.sampled_from([[1, 2], [0, 1, 2, 0], [-1, 1]])), draw(st.integers(0, 1))])


@sample
def top_pool(draw: Draw, row: Op) -> Call:
    return Call([tensor(draw, (2, 3, 7)), draw(st.integers(1, 4))])


@sample
def ctc_loss(draw: Draw, row: Op) -> Call:
    time, count, classes = draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(2, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1 << 32)))
    chances = torch.randn((time, count, classes), generator=generator).log_softmax(-1)
    lengths = torch.randint(0, 4, (count,), generator=generator)
    times = torch.randint(1, time + 1, (count,), generator=generator)
    blank = draw(st.integers(0, classes - 1))
    labels = (torch.randint(1, classes, (count, 3), generator=generator) + blank) % classes
    if draw(st.booleans()):
        labels = torch.cat([row[:length] for row, length in zip(labels, lengths.tolist(), strict=True)])
    kwargs = {"reduction": draw(st.sampled_from(["none", "mean", "sum"])), "zero_infinity": draw(st.booleans())}
    if draw(st.booleans()):
        return Call([chances, labels, tuple(times.tolist()), tuple(lengths.tolist()), blank], kwargs)
    return Call([chances, labels, times, lengths, blank], kwargs)


@sample
def gradient(draw: Draw, row: Op) -> Call:
    shape = tuple(draw(st.integers(2, 5)) for _ in range(draw(st.integers(1, 3))))
    x = tensor(draw, shape, any_dtype(draw, row))
    dims = draw(st.permutations(range(len(shape))))[: draw(st.integers(1, len(shape)))]
    order = draw(st.integers(1, 2))
    kind = draw(st.sampled_from(["none", "number", "numbers", "places"]))
    spacing = {"none": None, "number": 0.5, "numbers": [0.5, 2.0, 3.0][: len(dims)]}.get(kind)
    if kind == "places":
        x = x.float()  # PyTorch rounds differences of 16 bits first
        spacing = [torch.arange(float(shape[at])) ** 2 + 1 for at in dims]
    return Call([x], {"dim": list(dims), "edge_order": order} | ({} if spacing is None else {"spacing": spacing}))
