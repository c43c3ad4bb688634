"""Numbers of distributions that the generator has no method for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.ops.create.random import Generator

_ENOUGH = 0.1  # the share of a normal distribution from which on most draws are of use


def truncated(source: Generator, count: int, low: float, high: float) -> NDArray[Any]:
    """``count`` standard normal numbers in [low, high], by rejection.

    Where the interval holds little of the distribution, the proposals are exponential with the slope at its end
    that is nearest to 0 (uniform around 0), of which most are taken.
    """
    if high < 0:
        mirrored: NDArray[Any] = -truncated(source, count, -high, -low)
        return mirrored
    share = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    taken = np.empty(count, np.float64)
    filled = 0
    while filled < count:
        missing = count - filled
        good = _plain(source, missing, low, high) if share > _ENOUGH else _tail(source, missing, low, high)
        taken[filled : filled + good.size] = good
        filled += good.size
    return taken


def _plain(source: Generator, count: int, low: float, high: float) -> NDArray[Any]:
    drawn = source.normal((count,)).astype(np.float64)
    kept: NDArray[Any] = drawn[(drawn >= low) & (drawn <= high)]
    return kept


def _tail(source: Generator, count: int, low: float, high: float) -> NDArray[Any]:
    """The proposals in [low, high] that are taken, at most ``count``."""
    slope = max(low, 0.0)
    share = source.uniform((count,)).astype(np.float64)
    width = high - low
    steep = slope * width >= 1e-6
    drawn = low - np.log1p(share * math.expm1(-slope * width)) / slope if steep else low + share * width
    # The density over that of the proposals, scaled to be at most 1.
    height = np.exp(-0.5 * drawn * drawn) if slope == 0 else np.exp(-0.5 * (drawn - slope) ** 2)
    kept: NDArray[Any] = drawn[source.uniform((count,)) <= height]
    return kept


def orthonormal(drawn: NDArray[Any]) -> NDArray[Any]:
    """A matrix of the same shape whose rows or columns, whichever are fewer, are orthonormal; uniform over those."""
    is_wide = drawn.shape[0] < drawn.shape[1]
    square, upper = np.linalg.qr((drawn.T if is_wide else drawn).astype(np.float64))
    square *= np.where(np.diagonal(upper) < 0, -1.0, 1.0)
    result: NDArray[Any] = square.T if is_wide else square
    return result
