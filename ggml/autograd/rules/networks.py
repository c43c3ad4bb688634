"""Norms, attention, embeddings, gated and recurrent operations, and rotations of positions."""

from __future__ import annotations

import math

from ggml.autograd.composing import through
from ggml.autograd.derivative import Gradients, Step, derivative, without
from ggml.core import dtypes
from ggml.core.errors import GradientError
from ggml.ops.create.factories import zeros
from ggml.ops.elementwise.selection import where
from ggml.ops.linalg.matmul import matmul
from ggml.ops.nn.activations import gelu, silu
from ggml.ops.nn.normalization import softmax
from ggml.ops.shape.concatenation import cat, stack
from ggml.registry.table import make
from ggml.tensors.tensor import Tensor


def _over_rows(x: Tensor, eps: float, has_mean: bool) -> tuple[Tensor, Tensor]:
    """Rows of float32 with mean 0 (if wanted) and mean square 1, and what they were multiplied with."""
    rows = x.float()
    if has_mean:
        rows = rows - rows.mean(-1, True)
    factor = ((rows * rows).mean(-1, True) + eps).rsqrt()
    return rows * factor, factor


def _through_rows(g: Tensor, rows: Tensor, factor: Tensor, has_mean: bool) -> Tensor:
    part = g - rows * (g * rows).mean(-1, True)
    return (part - g.mean(-1, True) if has_mean else part) * factor


@derivative("layer_norm", "rms_norm")
def _norm(step: Step, g: Tensor) -> Gradients:
    eps, width, has_weight = step.params
    has_mean = step.name == "layer_norm"
    rows, factor = _over_rows(step[0].reshape(-1, width), eps, has_mean)
    g = g.reshape(-1, width).float()
    found: list[Tensor | None] = [None]
    if step.needs(0):
        wide = g * step[1].reshape(width) if has_weight else g
        found[0] = _through_rows(wide, rows, factor, has_mean).reshape(step.shape(0))
    if has_weight:
        found.append((g * rows).sum(0).reshape(step.shape(1)))
    if len(step) > len(found):
        found.append(g.sum(0).reshape(step.shape(len(found))))
    return found


@derivative("group_norm")
def _group_norm(step: Step, g: Tensor) -> Gradients:
    groups, eps, has_weight = step.params
    batch, channels, *_ = shape = step.shape(0)
    inner = math.prod(shape[2:])
    rows, factor = _over_rows(step[0].reshape(batch * groups, channels // groups * inner), eps, True)
    g = g.float().reshape(batch, channels, inner)
    found: list[Tensor | None] = [None]
    if step.needs(0):
        wide = g * step[1].reshape(channels, 1) if has_weight else g
        found[0] = _through_rows(wide.reshape(rows._node.shape), rows, factor, True).reshape(shape)
    if has_weight:
        found.append((g * rows.reshape(batch, channels, inner)).sum((0, 2)))
    if len(step) > len(found):
        found.append(g.sum((0, 2)))
    return found


@derivative("attend")
def _attend(step: Step, g: Tensor) -> Gradients:
    """With weights P of the values: dV = P.mT dO, dS = P (dO V.mT - the sum of dO O over a row)."""
    scale, is_causal, _ = step.params
    query, key, value = (step[place].float() for place in range(3))
    repeats = query.shape[1] // key.shape[1], query.shape[1] // value.shape[1]
    keys, values = (
        one if count == 1 else one.repeat_interleave(count, 1) for one, count in zip((key, value), repeats, strict=True)
    )
    scores = matmul(query, keys.mT) * scale
    if len(step) == 4:
        scores = scores + step[3]
    if is_causal:
        seen = zeros(scores.shape[-2:], device=g.device).eq(0).tril()
        scores = where(seen, scores, -math.inf)
    weights = where(scores.amax(-1, True).eq(-math.inf), 0.0, softmax(scores, -1))
    g = g.float()
    by_weight = matmul(g, values.mT)
    by_score = weights * (by_weight - (g * step.result.float()).sum(-1, True))
    found = [
        matmul(by_score, keys) * scale,
        _gathered_heads(matmul(by_score.mT, query) * scale, repeats[0]),
        _gathered_heads(matmul(weights.mT, g), repeats[1]),
    ]
    return [*found, by_score][: len(step)]


def _gathered_heads(g: Tensor, count: int) -> Tensor:
    """The gradients of heads that each served ``count`` others."""
    if count == 1:
        return g
    batch, heads, *rest = g._node.shape
    return g.reshape(batch, heads // count, count, *rest).sum(2)


@derivative("embedding")
def _embedding(step: Step, g: Tensor) -> Gradients:
    if not step.needs(1):
        return None, None
    shape, places = step.shape(1), step[0].reshape(-1)
    rows = g.reshape(-1, shape[1])
    if step.params:
        padding_idx, by_frequency = step.params
        if by_frequency:
            ones = rows.new_ones(places.shape[0])
            counts = rows.new_zeros(shape[0]).index_add(0, places, ones)
            rows = rows / counts.index_select(0, places).unsqueeze(1)
        if padding_idx is not None:
            rows = where(places.eq(padding_idx).unsqueeze(1), 0.0, rows)
    return None, zeros(shape, dtype=g.dtype, device=g.device).index_add(0, places, rows)


derivative("swiglu")(lambda step, g: through(step, g, lambda gate, up: silu(gate) * up))
derivative("geglu")(lambda step, g: through(step, g, lambda gate, up: gelu(gate) * up))


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x._node.shape[-1] // 2
    return x * cos + cat([-x[..., half:], x[..., :half]], -1) * sin


derivative("_rotate")(lambda step, g: through(step, g, _rotated))


@derivative("rotary_embedding")
def _rotary(step: Step, g: Tensor) -> Gradients:
    """A rotation's transpose turns the other way."""
    if len(step) == 3 and step.needs(2):
        raise GradientError(step.name, "has no derivative for freq_factors; detach() them")
    inputs = (g, -step[1], *step.all()[2:])
    return (make(step.name, inputs, step.params, g._node.shape, g._node.dtype), None, None)[: len(step)]


def _cell(gates: Tensor, own: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    enter, forget, change, leave = (gates + own).chunk(4, -1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * change.tanh()
    return leave.sigmoid() * cell.tanh(), cell


derivative("lstm_cell")(lambda step, g: through(step, g, lambda *given: stack(_cell(*given), 0)))


@derivative("lstm_sequence")
def _lstm_sequence(step: Step, g: Tensor) -> Gradients:
    (is_backwards,) = step.params

    def unrolled(gates: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
        rows = list(gates.unbind(0))
        outputs = []
        for row in reversed(rows) if is_backwards else rows:
            hidden, cell = _cell(row, matmul(hidden, weight.mT), cell)
            outputs.append(hidden)
        return stack([*(reversed(outputs) if is_backwards else outputs), cell], 0)

    return through(step, g, unrolled)


@derivative("reduce_bags")
def _reduce_bags(step: Step, g: Tensor) -> Gradients:
    (wants_largest,), bounds = step.params, step[1]
    count = step.shape(0)[0]
    rows = zeros(count, dtype=dtypes.int64, device=g.device).eq(0).to(dtypes.int64).cumsum(0) - 1
    bag = rows.unsqueeze(1).ge(bounds[1:].unsqueeze(0)).to(dtypes.int64).sum(1)
    spread = g.index_select(0, bag)
    if not wants_largest:
        return spread, None
    x = step[0]
    wins = x.eq(step.result.index_select(0, bag))
    # The first of equal rows takes it all, as in PyTorch: of the winners of a bag that with the smallest place.
    places = where(wins, rows.unsqueeze(1), count)
    first = bounds.new_full((g.shape[0], g.shape[1]), count).scatter_reduce(
        0, bag.unsqueeze(1).expand(x.shape), places, "amin"
    )
    return where(places.eq(first.index_select(0, bag)).logical_and(wins), spread, 0.0), None


without("write_rows", "it writes into the memory of a cache, which no longer holds what backward would need")
