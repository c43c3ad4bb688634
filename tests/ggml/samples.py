"""Arguments for each row of the table, by the row's ``sample``. Mostly valid; what PyTorch refuses must be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from ggml.table import Op
from tests.ggml.arrays import FULL_SHAPE, LONG_SHAPE, SHAPE, TORCH_DTYPES, Draw, broadcastable, tensor

MATRIX = st.tuples(st.integers(0, 6), st.integers(0, 6))


@dataclass
class Call:
    args: list[Any]
    kwargs: dict[str, Any] = field(default_factory=dict)


Sample = Callable[[Draw, Op], Call]
SAMPLES: dict[str, Sample] = {}


def sample(function: Sample) -> Sample:
    SAMPLES[function.__name__] = function
    return function


# Where a function is defined, or where PyTorch's own result has enough digits to compare with.
DOMAINS = {
    "acosh": (1.0, 9.0),
    "lgamma": (0.1, 9.0),
    "digamma": (0.1, 9.0),
    "log": (0.0, 9.0),
    "log2": (0.0, 9.0),
    "log10": (0.0, 9.0),
    "rsqrt": (0.0, 9.0),
    "erfinv": (-1.0, 1.0),
    "atanh": (-1.0, 1.0),
    "tan": (-1.5, 1.5),
}


def any_dtype(draw: Draw, row: Op) -> str:
    return str(draw(st.sampled_from([dtype.name for dtype in row.dtypes])))


def any_tensor(draw: Draw, row: Op, shape: Any = LONG_SHAPE, specials: bool = False) -> Any:
    low, high = DOMAINS.get(row.name, (-4.0, 4.0))
    return tensor(draw, shape, any_dtype(draw, row), low, high, specials)


def any_dim(draw: Draw, x: Any) -> int:
    rank = max(x.ndim, 1)
    return int(draw(st.integers(-rank, rank - 1)))


def any_dims(draw: Draw, x: Any) -> Any:
    rank = max(x.ndim, 1)
    several = st.lists(st.integers(0, rank - 1), unique=True, min_size=1, max_size=rank)
    return draw(st.one_of(st.none(), st.integers(-rank, rank - 1), several.map(tuple)))


def any_number(draw: Draw, low: int = -3, high: int = 3) -> Any:
    floats = st.sampled_from([0.5, -1.5, 2.0, -0.0, 1e-3])
    return draw(st.one_of(st.integers(low, high), floats, st.booleans()))


# Elementwise


@sample
def unary(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=row.name not in DOMAINS)])


@sample
def unary_any(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=row.name not in ("int", "long"))])


@sample
def unary_special(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True)])


@sample
def unary_integer(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)])


@sample
def unary_loose(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)])


def _pair(draw: Draw, row: Op, specials: bool = True, shape: Any = LONG_SHAPE, same: bool = False) -> tuple[Any, Any]:
    a = any_tensor(draw, row, shape, specials)
    other = str(a.dtype).removeprefix("torch.") if same else any_dtype(draw, row)
    b = tensor(draw, broadcastable(draw, tuple(a.shape)), other, specials=specials)
    return (b, a) if draw(st.booleans()) else (a, b)


@sample
def binary(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row)
    return Call([a, b] if draw(st.booleans()) else [a, any_number(draw)])


@sample
def binary_tensors(draw: Draw, row: Op) -> Call:
    return Call(list(_pair(draw, row)))


@sample
def binary_floats(draw: Draw, row: Op) -> Call:
    # PyTorch has these for equal dtypes only where half precision meets float32.
    return Call(list(_pair(draw, row, specials=row.name != "isclose", same=True)))


@sample
def pair_any(draw: Draw, row: Op) -> Call:
    return Call(list(_pair(draw, row, specials=False)))


@sample
def division(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row, specials=row.name == "div")
    number = draw(st.sampled_from([1, 2, -3, 0.5, -1.5]))
    call = Call([a, number]) if draw(st.booleans()) else Call([a, b])
    if row.name == "div":
        call.kwargs["rounding_mode"] = draw(st.sampled_from([None, None, "trunc", "floor"]))
    return call


@sample
def power(draw: Draw, row: Op) -> Call:
    a = tensor(draw, LONG_SHAPE, any_dtype(draw, row), 0.1, 4.0)
    exponent = draw(st.sampled_from([2, 0.5, -0.5, -1, 3, 0, 1, 2.5]))
    if draw(st.booleans()):
        return Call([a, exponent])
    return Call([a, tensor(draw, broadcastable(draw, tuple(a.shape)), any_dtype(draw, row), 0, 3)])


@sample
def bitwise(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row, specials=False)
    if "shift" in row.name:
        b = b.abs()
    return Call([a, b])


@sample
def cast(draw: Draw, row: Op) -> Call:
    x = tensor(draw, LONG_SHAPE, any_dtype(draw, row), -4, 4, specials=False)
    return Call([x, TORCH_DTYPES[any_dtype(draw, row)]])


@sample
def where(draw: Draw, row: Op) -> Call:
    a, b = _pair(draw, row)
    condition = tensor(draw, broadcastable(draw, tuple(a.shape)), "bool")
    return Call([condition, a, any_number(draw) if draw(st.booleans()) else b])


@sample
def masked_fill(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x, tensor(draw, broadcastable(draw, tuple(x.shape)), "bool"), draw(st.integers(-3, 3))])


@sample
def clamp(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    low, high = draw(st.sampled_from([(-1, 1), (None, 2), (0.5, None), (2, 1), (-1.5, 0.5)]))
    return Call([x], {"min": low, "max": high})


@sample
def hardtanh(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True), -0.5, 1.5])


@sample
def slope(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, specials=True), draw(st.sampled_from([0.01, 0.5, 1.0]))])


@sample
def softplus(draw: Draw, row: Op) -> Call:
    return Call([tensor(draw, LONG_SHAPE, any_dtype(draw, row), -30, 30)], {"beta": draw(st.sampled_from([1.0, 2.0]))})


@sample
def gelu(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)], {"approximate": draw(st.sampled_from(["none", "tanh"]))})


@sample
def prelu(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple))
    return Call([x, tensor(draw, (draw(st.sampled_from([1, x.shape[1]])),))])


@sample
def glu(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row, st.just((3, 4)))], {"dim": 1})


@sample
def dropout(draw: Draw, row: Op) -> Call:
    return Call([any_tensor(draw, row)], {"p": 0.5, "training": False})


# Reductions


def _reduction(draw: Draw, row: Op, dims: bool = True, shape: Any = LONG_SHAPE, specials: bool = True) -> Call:
    x = any_tensor(draw, row, shape, specials)
    kwargs: dict[str, Any] = {}
    dim = any_dims(draw, x) if dims else draw(st.one_of(st.none(), st.just(any_dim(draw, x))))
    if dim is not None:
        kwargs = {"dim": dim, "keepdim": draw(st.booleans())}
    return Call([x], kwargs)


@sample
def reduce(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row)


@sample
def reduce_floats(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row)


@sample
def reduce_one(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row, dims=False)


@sample
def reduce_extreme(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row)


@sample
def reduce_place(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row, dims=False)


@sample
def reduce_best(draw: Draw, row: Op) -> Call:
    return _reduction(draw, row, dims=False)


@sample
def count_nonzero(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x], {"dim": any_dims(draw, x)})


@sample
def variance(draw: Draw, row: Op) -> Call:
    call = _reduction(draw, row, specials=False, shape=FULL_SHAPE)
    call.kwargs["correction"] = draw(st.sampled_from([0, 1]))
    return call


@sample
def reduce_dims(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    dim = any_dims(draw, x)
    return Call([x, tuple(range(x.ndim)) if dim is None else dim], {"keepdim": draw(st.booleans())})


@sample
def norm(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    return Call([x], {"p": draw(st.sampled_from([1, 2, 3, 0, float("inf")])), "dim": any_dim(draw, x)})


@sample
def scan(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row)
    return Call([x, any_dim(draw, x)])


@sample
def softmax(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x, any_dim(draw, x)])


@sample
def argsort(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, specials=True)
    return Call([x], {"dim": any_dim(draw, x), "descending": draw(st.booleans()), "stable": True})


@sample
def sort(draw: Draw, row: Op) -> Call:
    return argsort(draw, row)


@sample
def topk(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    # Without ties: PyTorch does not say which of equal elements it takes.
    x = (x.float() * 0).flatten().cumsum(0).reshape(x.shape).to(x.dtype) + TORCH_ARANGE(x)
    dim = any_dim(draw, x)
    size = x.shape[dim] if x.ndim else 1
    return Call([x, draw(st.integers(min(x.ndim, 1) ^ 1, size))], {"dim": dim, "largest": draw(st.booleans())})


def TORCH_ARANGE(x: Any) -> Any:
    import torch

    return torch.arange(x.numel()).reshape(x.shape).to(x.dtype)


# Shapes


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


# Places


def _places(draw: Draw, shape: Any, size: int, dtype: str = "int64", low: int = 0) -> Any:
    return tensor(draw, shape, dtype, low, max(size - 1, 0))


@sample
def index_select(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    dim = any_dim(draw, x)
    return Call(
        [x, dim, _places(draw, (draw(st.integers(0, 6)),), x.shape[dim], draw(st.sampled_from(["int32", "int64"])))]
    )


@sample
def gather(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, FULL_SHAPE)
    dim = any_dim(draw, x)
    shape = [draw(st.integers(1, extent)) for extent in x.shape]
    if shape:
        shape[dim] = draw(st.integers(0, 6))
    return Call([x, dim, _places(draw, tuple(shape), x.shape[dim] if x.ndim else 1)])


@sample
def take_along_dim(draw: Draw, row: Op) -> Call:
    call = gather(draw, row)
    x, dim, places = call.args
    if x.ndim == 0:
        return Call([x, places.reshape(())])
    shape = [1 if draw(st.booleans()) else extent for extent in x.shape]
    shape[dim] = places.shape[dim]
    return Call([x, _places(draw, tuple(shape), x.shape[dim]), dim])


@sample
def getitem(draw: Draw, row: Op) -> Call:
    x = any_tensor(draw, row, st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple))
    items: list[Any] = []
    for extent in x.shape[: draw(st.integers(0, x.ndim))]:
        kind = draw(st.sampled_from(["int", "slice", "tensor", "none", "list"]))
        if kind == "none":
            items.append(None)
        if kind == "int":
            items.append(draw(st.integers(-extent, extent - 1)))
        elif kind == "tensor":
            items.append(_places(draw, draw(st.sampled_from([(1,), (3,), (2, 1), ()])), extent, low=-extent))
        elif kind == "list":
            items.append([0, extent - 1, -1])
        else:
            bound = st.one_of(st.none(), st.integers(-6, 6))
            items.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, 3]))))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), ...)
    if draw(st.integers(0, 5)) == 0:
        return Call([x, tensor(draw, tuple(x.shape[: draw(st.integers(1, x.ndim))]), "bool")])
    return Call([x, tuple(items)])


@sample
def embedding(draw: Draw, row: Op) -> Call:
    weight = tensor(draw, (draw(st.integers(1, 6)), draw(st.integers(0, 6))))
    return Call([_places(draw, SHAPE, weight.shape[0], any_dtype(draw, row)), weight])


# Products


@sample
def matmul(draw: Draw, row: Op) -> Call:
    m, k, n = (draw(st.integers(0, 6)) for _ in range(3))
    outer = draw(st.lists(st.integers(1, 3), max_size=3).map(tuple))
    dtype = any_dtype(draw, row)
    a = tensor(draw, (*broadcastable(draw, outer), m, k), dtype)
    b = tensor(draw, (*broadcastable(draw, outer), k, n), dtype)
    kind = draw(st.sampled_from(["both", "both", "left", "right", "vectors"]))
    if kind == "left":
        a = tensor(draw, (k,), dtype)
    if kind == "right":
        b = tensor(draw, (k,), dtype)
    if kind == "vectors":
        a, b = tensor(draw, (k,), dtype), tensor(draw, (k,), dtype)
    return Call([a, b])


def _matrices(draw: Draw, row: Op, outer: tuple[int, ...] = ()) -> list[Any]:
    m, k, n = (draw(st.integers(0, 6)) for _ in range(3))
    dtype = any_dtype(draw, row)
    return [tensor(draw, (*outer, m, k), dtype), tensor(draw, (*outer, k, n), dtype)]


@sample
def mm(draw: Draw, row: Op) -> Call:
    return Call(_matrices(draw, row))


@sample
def bmm(draw: Draw, row: Op) -> Call:
    return Call(_matrices(draw, row, (draw(st.integers(0, 3)),)))


@sample
def mv(draw: Draw, row: Op) -> Call:
    a, b = _matrices(draw, row)
    return Call([a, tensor(draw, (b.shape[0],), str(a.dtype).removeprefix("torch."))])


@sample
def dot(draw: Draw, row: Op) -> Call:
    shape = (draw(st.integers(0, 9)),)
    dtype = any_dtype(draw, row)
    return Call([tensor(draw, shape, dtype), tensor(draw, shape, dtype)])


@sample
def dot_any(draw: Draw, row: Op) -> Call:
    dtype = any_dtype(draw, row)
    return Call([tensor(draw, (draw(st.integers(0, 5)),), dtype), tensor(draw, (draw(st.integers(0, 5)),), dtype)])


def _scales(draw: Draw) -> dict[str, Any]:
    return {"beta": draw(st.sampled_from([1, 0.5, 0])), "alpha": draw(st.sampled_from([1, -2.0]))}


def _added(draw: Draw, parts: list[Any]) -> Any:
    shape = (*parts[0].shape[:-1], parts[1].shape[-1])
    return tensor(draw, broadcastable(draw, tuple(shape)), str(parts[0].dtype).removeprefix("torch."))


@sample
def addmm(draw: Draw, row: Op) -> Call:
    parts = _matrices(draw, row)
    return Call([_added(draw, parts), *parts], _scales(draw))


@sample
def baddbmm(draw: Draw, row: Op) -> Call:
    parts = _matrices(draw, row, (draw(st.integers(1, 3)),))
    return Call([_added(draw, parts), *parts], _scales(draw))


@sample
def linear(draw: Draw, row: Op) -> Call:
    width, out = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    dtype = any_dtype(draw, row)
    x = tensor(draw, (*draw(st.lists(st.integers(0, 4), max_size=3)), width), dtype)
    bias = [tensor(draw, (out,), dtype)] if draw(st.booleans()) else []
    return Call([x, tensor(draw, (out, width), dtype), *bias])


# Norms


def _norm_input(draw: Draw, row: Op) -> tuple[Any, tuple[int, ...], str]:
    dtype = any_dtype(draw, row)
    x = tensor(draw, st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple), dtype)
    return x, tuple(x.shape[draw(st.integers(0, x.ndim - 1)) :]), dtype


@sample
def layer_norm(draw: Draw, row: Op) -> Call:
    x, shape, dtype = _norm_input(draw, row)
    extras = [tensor(draw, shape, dtype) for _ in range(draw(st.integers(0, 2)))]
    return Call([x, shape, *extras], {"eps": 1e-3})


@sample
def rms_norm(draw: Draw, row: Op) -> Call:
    x, shape, dtype = _norm_input(draw, row)
    extras = [tensor(draw, shape, dtype)] if draw(st.booleans()) else []
    return Call([x, shape, *extras], {"eps": draw(st.sampled_from([1e-3, None]))})


@sample
def group_norm(draw: Draw, row: Op) -> Call:
    groups, per_group = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    channels = groups * per_group
    dtype = any_dtype(draw, row)
    x = tensor(draw, (draw(st.integers(1, 3)), channels, *draw(st.lists(st.integers(1, 4), max_size=2))), dtype)
    extras = [tensor(draw, (channels,), dtype) for _ in range(draw(st.sampled_from([0, 2])))]
    return Call([x, groups, *extras], {"eps": 1e-3})


@sample
def normalize(draw: Draw, row: Op) -> Call:
    x = tensor(draw, st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple), any_dtype(draw, row))
    return Call([x], {"dim": any_dim(draw, x), "p": draw(st.sampled_from([1.0, 2.0]))})
