"""What samples are written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from ggml.core.op import Op
from tests.ggml.arrays import LONG_SHAPE, Draw, tensor

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
