"""What layers are made of: statistics of channels, dropout, activations with bounds."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import Draw, tensor
from tests.ggml.samples.common import Call, any_dtype, any_tensor, sample

BATCH = st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple)


def _statistics(draw: Draw, channels: int, dtype: str) -> list[Any]:
    return [tensor(draw, (channels,), dtype, -1.0, 1.0), tensor(draw, (channels,), dtype, 0.1, 2.0)]


@sample
def batch_norm(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    x = tensor(draw, draw(st.sampled_from([BATCH, st.just((0, 3)), st.just((2, 3, 0)), st.just((3,))])), dtype)
    channels = x.shape[1] if x.ndim > 1 else 3
    is_training = draw(st.booleans())
    running = [None, None] if is_training and draw(st.booleans()) else _statistics(draw, channels, "float32")
    extras = [tensor(draw, (channels,)) for _ in range(draw(st.sampled_from([0, 2])))]
    return Call([x, *running, *extras], {"training": is_training, "eps": draw(st.sampled_from([1e-3, 1e-5]))})


@sample
def instance_norm(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 4), min_size=3, max_size=5).map(tuple))
    use_input_stats = draw(st.booleans())
    running = [None, None] if use_input_stats and draw(st.booleans()) else _statistics(draw, x.shape[1], "float32")
    extras = [tensor(draw, (x.shape[1],)) for _ in range(draw(st.sampled_from([0, 2])))]
    return Call([x, *running, *extras], {"use_input_stats": use_input_stats, "eps": 1e-3})


@sample
def local_response_norm(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 6), min_size=2, max_size=5).map(tuple))
    return Call([x, draw(st.integers(0, 8))], {"alpha": 0.1, "beta": draw(st.sampled_from([0.75, 1.0])), "k": 1.5})


@sample
def dropout1d(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple))
    return Call([x], {"p": 0.5, "training": False})


@sample
def threshold(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True), draw(st.sampled_from([0.5, -1, float("inf")])), 20])


@sample
def lambd(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True), draw(st.sampled_from([0.5, 0, 2.5, -1.0, float("nan")]))])


@sample
def rrelu(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x, *draw(st.sampled_from([(), (0.1, 0.2), (0.3, 0.1), (0.25, 0.25)]))])


@sample
def bilinear(draw: Draw, row: Op) -> Call:
    outer = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    in1, in2, out = (draw(st.integers(1, 4)) for _ in range(3))
    inputs = [tensor(draw, (*outer, in1)), tensor(draw, (*outer, in2 + draw(st.sampled_from([0, 0, 0, 1]))))]
    extras = [tensor(draw, (out,))] if draw(st.booleans()) else []
    return Call([*inputs, tensor(draw, (out, in1, in2)), *extras])
