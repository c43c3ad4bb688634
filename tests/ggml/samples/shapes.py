"""Rows that move or look at elements."""

from __future__ import annotations

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import FULL_SHAPE, LONG_SHAPE, SHAPE, Draw, broadcastable, tensor
from tests.ggml.samples.common import Call, any_dim, any_tensor, sample


@sample
def reshape(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    order = draw(st.permutations(list(x.shape)))
    if row.name == "view":
        x = x.contiguous()
    return Call([x, draw(st.sampled_from([order, [-1], [1, *order], [x.numel()], [*order, -1]]))])


@sample
def same_numel(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, SHAPE).contiguous()
    return Call([x, tensor(draw, tuple(draw(st.permutations(list(x.shape)))))])


@sample
def flatten(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    rank = max(x.ndim, 1)
    start = draw(st.integers(0, rank - 1))
    return Call([x, start, draw(st.integers(start, rank - 1))])


@sample
def unflatten(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.just((2, 6, 3)))
    return Call([x, 1, draw(st.sampled_from([(2, 3), (-1, 2), (6,), (1, 6, 1)]))])


@sample
def squeeze(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    return Call([x]) if draw(st.booleans()) else Call([x, any_dim(draw, x)])


@sample
def unsqueeze(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    return Call([x, draw(st.integers(-x.ndim - 1, x.ndim))])


@sample
def permute(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.one_of(LONG_SHAPE, st.sampled_from([(35, 40), (2, 17, 33), (33, 3, 16)])))
    return Call([x, draw(st.permutations(list(range(x.ndim))))])


@sample
def transpose(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    return Call([x, any_dim(draw, x), any_dim(draw, x)])


@sample
def matrix(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, st.lists(st.integers(0, 4), max_size=2).map(tuple))])


@sample
def movedim(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple))
    pick = st.permutations(list(range(x.ndim))).map(lambda order: order[:2])
    return Call([x, draw(pick), draw(pick)])


@sample
def expand(draw: Draw, row: Op) -> Call:
    target = draw(SHAPE)
    x = any_tensor(draw, row, st.just(broadcastable(draw, target)))
    return Call([x, list(target)])


@sample
def expand_as(draw: Draw, row: Op) -> Call:
    target = draw(SHAPE)
    return Call([any_tensor(draw, row, st.just(broadcastable(draw, target))), tensor(draw, target)])


@sample
def narrow(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    dim = any_dim(draw, x)
    start = draw(st.integers(0, x.shape[dim]))
    return Call([x, dim, start, draw(st.integers(0, x.shape[dim] - start))])


@sample
def select(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    dim = any_dim(draw, x)
    return Call([x, dim, draw(st.integers(-x.shape[dim] - 1, x.shape[dim]))])


@sample
def split(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    dim = any_dim(draw, x)
    size = x.shape[dim]
    return Call([x, draw(st.one_of(st.integers(1, size), st.just([0, size]), st.just([1, size - 1])))], {"dim": dim})


@sample
def chunk(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple))
    return Call([x, draw(st.integers(1, 6))], {"dim": any_dim(draw, x)})


@sample
def unbind(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple))
    return Call([x], {"dim": any_dim(draw, x)})


@sample
def flip(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    rank = x.ndim
    dims = draw(st.lists(st.integers(0, rank - 1), unique=True)) if rank else []
    return Call([x, dims])


@sample
def roll(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple))
    shift = draw(st.integers(-7, 7))
    return Call([x, shift]) if draw(st.booleans()) else Call([x, shift, any_dim(draw, x)])


@sample
def cat(draw: Draw, row: Op) -> Call:
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    dim = draw(st.integers(0, len(shape) - 1))
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        extents = [*shape[:dim], draw(st.integers(0, 4)), *shape[dim + 1 :]]
        parts.append(any_tensor(draw, row, st.just(tuple(extents))))
    return Call([parts], {"dim": dim})


@sample
def stack(draw: Draw, row: Op) -> Call:
    shape = draw(SHAPE)
    parts = [any_tensor(draw, row, st.just(shape)) for _ in range(draw(st.integers(1, 3)))]
    return Call([parts], {"dim": draw(st.integers(-len(shape) - 1, len(shape)))})


@sample
def repeat(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, SHAPE)
    counts = draw(st.lists(st.integers(0, 3), min_size=x.ndim, max_size=x.ndim + 1))
    return Call([x, counts])


@sample
def repeat_short(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, SHAPE)
    return Call([x, draw(st.lists(st.integers(0, 3), max_size=x.ndim + 1))])


@sample
def repeat_interleave(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    return Call([x, draw(st.integers(0, 3))], {"dim": any_dim(draw, x)} if x.ndim and draw(st.booleans()) else {})


@sample
def diagonal(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 5), min_size=2, max_size=4).map(tuple))
    first, second = draw(st.permutations(list(range(x.ndim))))[:2]
    return Call([x], {"offset": draw(st.integers(-3, 3)), "dim1": first, "dim2": second})


@sample
def triangle(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(0, 5), min_size=2, max_size=4).map(tuple), specials=True)
    return Call([x, draw(st.integers(-6, 6))])
