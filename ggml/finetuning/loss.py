"""Cross entropy over a vocabulary, whose logits are never whole."""

from __future__ import annotations

from collections.abc import Callable

from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.nn import functional
from ggml.tensors.tensor import Tensor
from ggml.utils.checkpoint import checkpoint

#: Rows of logits at a time: 256 of 150,000 tokens are 150 MB.
CHUNK_ROWS = 256


def chunked_cross_entropy(
    rows: Tensor,
    head: Callable[[Tensor], Tensor],
    targets: Tensor,
    chunk_rows: int = CHUNK_ROWS,
    ignore_index: int = -100,
) -> Tensor:
    """The sum of ``cross_entropy(head(rows), targets)`` over all rows whose target is not ``ignore_index``.

    Rows [N, D] and targets [N]; ``head`` makes logits [n, V] of n rows. It is called for ``chunk_rows`` at a time, and
    again when gradients come back, so that there are never more logits than those of one chunk.
    """
    if rows.ndim != 2 or tuple(targets.shape) != (rows.shape[0],):
        shapes = (tuple(rows.shape), tuple(targets.shape))
        raise ShapeMismatchError("chunked_cross_entropy", "rows [N, D] and targets [N]", shapes)
    if chunk_rows < 1:
        raise ArgumentError("chunked_cross_entropy", "chunk_rows", f"must be at least 1: {chunk_rows}")

    def cost(part: Tensor, wanted: Tensor) -> Tensor:
        found: Tensor = functional.cross_entropy(head(part), wanted, ignore_index=ignore_index, reduction="sum")
        return found

    total = None
    for first in range(0, rows.shape[0], chunk_rows):
        part, wanted = rows[first : first + chunk_rows], targets[first : first + chunk_rows]
        one = checkpoint(cost, part, wanted)
        total = one if total is None else total + one
    return rows.sum() * 0 if total is None else total
