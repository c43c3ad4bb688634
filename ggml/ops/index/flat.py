"""Places counted over all elements, and masks that take from another tensor in turn."""

from __future__ import annotations

from ggml.core import dtypes
from ggml.core.dtypes import PLAIN
from ggml.core.errors import DTypeError, IndexOutOfRangeError
from ggml.ops.elementwise.selection import where
from ggml.ops.index.indexing import _lower_index_select
from ggml.ops.index.scatter_slices import long_index
from ggml.ops.reduce.scans import cumsum
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.views import expand, flatten, reshape
from ggml.registry.arguments import broadcast, convert, tensor
from ggml.registry.table import make, op
from ggml.tensors.tensor import Tensor, filled


@op(runs="mixed", sample="take", lower=_lower_index_select, dtypes=PLAIN, widens=False)
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements that ``index`` names, counted over all elements; negative ones count from the end."""
    x, places = tensor("take", input), long_index("take", index)
    count = places._node.numel
    if count and not x.numel():
        raise IndexOutOfRangeError("take", "there is no element to take")
    return reshape(make("take", (flatten(x), flatten(places)), (0, True), (count,), x.dtype), places._node.shape)


@op(runs="composed", sample="masked_scatter", dtypes=PLAIN, inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``input`` with the elements of ``source``, one after the other, where ``mask`` is set."""
    x, chosen, given = (
        tensor("masked_scatter", input),
        tensor("masked_scatter", mask, "mask"),
        tensor("masked_scatter", source, "source"),
    )
    if chosen.dtype is not dtypes.bool_:
        raise DTypeError("masked_scatter", "a bool mask", chosen.dtype)
    if given.dtype is not x.dtype:
        raise DTypeError("masked_scatter", f"a source of {x.dtype}", given.dtype)
    shape = broadcast("masked_scatter", x._node.shape, chosen._node.shape)
    chosen = flatten(expand(chosen, shape)) if shape else reshape(chosen, (1,))
    # Place 0 is for where nothing is taken; a source that is too short shows as an index out of range.
    pool = cat((filled((1,), 0, x.dtype, x.device), flatten(given)))
    places = where(chosen, cumsum(convert(chosen, dtypes.int64), 0), 0)
    if not places.numel():
        return expand(x, shape)
    taken = make("masked_scatter_take", (pool, places), (0, False), (places.numel(),), x.dtype)
    return where(reshape(chosen, shape), reshape(taken, shape), x)


@op(runs="mixed", sample="internal", lower=_lower_index_select, dtypes=PLAIN, methods=(), widens=False)
def masked_scatter_take(input: Tensor, index: Tensor) -> Tensor:
    """The elements that a mask takes in turn."""
    return take(input, index)
