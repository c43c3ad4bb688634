"""The discrete Fourier transform as products with small matrices.

A complex row is [..., n, 2]: real and imaginary part side by side. A transform of n = a * b elements is one of a
for each of the b places, a turn of each result, and one of b (J. Cooley, J. Tukey 1965). One of few elements is a
single product with a real matrix [2 n, 2 n]; one of a large prime is a convolution (L. Bluestein 1970). Matrices
and turns are constants in float32, computed from exact angles.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.dtypes import F32
from ggml.lowering.builder import Builder
from ggml.lowering.value import Value

Array = NDArray[np.float32]

# Up to so many elements a product is faster than splitting; a prime is worth one up to the second number.
_MAX_DIRECT = 64
_MAX_DIRECT_PRIME = 512


def transform(b: Builder, rows: Value, sign: int) -> Value:
    """The sums of ``x[j] * exp(sign * 2 pi i j k / n)`` of complex rows [batch, n, 2], not scaled."""
    batch, n, _ = rows.shape
    if n == 1:
        return rows
    first = factor(n)
    if first == n:
        if n > _MAX_DIRECT_PRIME:
            return _by_convolution(b, rows, sign)
        return _direct(b, rows, sign)
    second = n // first
    # [batch, j1, j2, 2]: transforms over j1 for each j2, then over j2 for each k1; k = k1 + first * k2.
    parts = b.reshape(rows, (batch, first, second, 2)).swap(1, 2)
    inner = _direct(b, _folded(b, parts), sign).reshape_to((batch, second, first, 2))
    turned = multiply(b, inner, turns(second, first, sign))
    outer = transform(b, _folded(b, turned.swap(1, 2)), sign).reshape_to((batch, first, second, 2))
    return b.dense(outer.swap(1, 2)).reshape_to((batch, n, 2))


def factor(n: int) -> int:
    """What to split off ``n`` elements for a product: near the root, no larger than a product should be."""
    if n <= _MAX_DIRECT:
        return n
    good = [a for a in range(2, _MAX_DIRECT + 1) if n % a == 0]
    if good:
        return min(good, key=lambda a: abs(math.log(a * a / n)) if n <= _MAX_DIRECT**2 else -a)
    return next((a for a in range(_MAX_DIRECT + 1, min(_MAX_DIRECT_PRIME, math.isqrt(n)) + 1) if n % a == 0), n)


def _folded(b: Builder, value: Value) -> Value:
    """[..., n, 2] as dense [rows, n, 2]."""
    dense = b.dense(value)
    return dense.reshape_to((math.prod(value.shape[:-2]), *value.shape[-2:]))


def _direct(b: Builder, rows: Value, sign: int) -> Value:
    """By one product: a complex row times the matrix is a real row of twice the length times a real matrix."""
    count, n, _ = rows.shape
    return product(b, rows, matrix(n, n, sign), 2 * n).reshape_to((count, n, 2))


def product(b: Builder, rows: Value, weights: Array, width: int) -> Value:
    """Rows, whatever their axes, times ``weights`` [width of the result, width of a row]."""
    flat = b.dense(rows).reshape_to((rows.shape[0], weights.shape[1]))
    sources = (b.constant(weights, F32).step, b.operand(flat, flat.shape))
    return b.emit("mul_mat", sources, F32, (flat.shape[0], width), (1,))


def multiply(b: Builder, value: Value, factors: Array) -> Value:
    """Complex elements [..., m, 2] times complex ``factors`` [m..., 2] that broadcast."""
    shape = value.shape
    real = np.repeat(factors[..., :1], 2, -1)
    crossed = np.stack([-factors[..., 1], factors[..., 1]], -1)
    swapped = value.cut([0] * (len(shape) - 1) + [1], [1] * (len(shape) - 1) + [-1], shape)
    straight = b.binary("mul", value, b.constant(np.ascontiguousarray(real), F32), shape)
    across = b.binary("mul", b.dense(swapped), b.constant(np.ascontiguousarray(crossed), F32), shape)
    return b.binary("add", straight, across, shape)


def pair(angles: NDArray[np.floating[Any]]) -> Array:
    """The points of the unit circle at these angles, [..., 2]."""
    points = np.stack([np.cos(angles), np.sin(angles)], -1)
    # A right angle is no exact number, but its cosine is 0.
    return np.where(np.abs(points) < 1e-14, 0.0, points).astype(np.float32)


@functools.lru_cache(64)
def turns(rows: int, columns: int, sign: int) -> Array:
    """``exp(sign * 2 pi i j k / (rows * columns))``, [rows, columns, 2]."""
    n = rows * columns
    places = np.outer(np.arange(rows), np.arange(columns)) % n
    return pair(sign * 2 * math.pi / n * places)


@functools.lru_cache(64)
def matrix(n: int, kept: int, sign: int) -> Array:
    """[2 kept, 2 n]: what makes the first ``kept`` results of a complex row of n."""
    places = np.outer(np.arange(kept), np.arange(n)) % n
    unit = pair(sign * 2 * math.pi / n * places)
    cosine, sine = unit[..., 0], unit[..., 1]
    blocks = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], 1)
    return np.ascontiguousarray(blocks.reshape(2 * kept, 2 * n))


def _by_convolution(b: Builder, rows: Value, sign: int) -> Value:
    """By ``j k = (j^2 + k^2 - (k - j)^2) / 2``: turned, convolved with the turns, turned again."""
    batch, n, _ = rows.shape
    size = 1 << (2 * n - 2).bit_length()
    chirp, spectrum = _chirp(n, size, sign)
    turned = multiply(b, rows, chirp)
    padding = b.dense(b.full(0, F32, (batch, (size - n) * 2)))
    sources = (b.operand(turned, (batch, n * 2)), b.operand(padding, padding.shape))
    padded = b.emit("concat", sources, F32, (batch, size * 2), (0,)).reshape_to((batch, size, 2))
    mixed = multiply(b, transform(b, padded, -1), spectrum)
    convolved = transform(b, mixed, 1).cut((0, 0, 0), (1, 1, 1), (batch, n, 2))
    return multiply(b, b.dense(convolved), chirp)


@functools.lru_cache(16)
def _chirp(n: int, size: int, sign: int) -> tuple[Array, Array]:
    """The turns [n, 2], and the transform of what they are convolved with [size, 2], over ``size``."""
    squares = np.array([j * j % (2 * n) for j in range(n)], np.float64)
    angles = sign * math.pi / n * squares
    kernel = np.zeros(size, np.complex128)
    kernel[:n] = np.exp(-1j * angles)
    kernel[size - n + 1 :] = kernel[1:n][::-1]
    spectrum = np.fft.fft(kernel) / size
    return pair(angles), np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)
