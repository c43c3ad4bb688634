"""Which rows mixed precision changes: they are PyTorch's lists for CUDA, and hold for every device here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ggml.core import autocast, dtypes
from ggml.core.dtypes import DType
from ggml.tensors.tensor import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])

#: Products: computed in the dtype of the block.
LOWER = frozenset([
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bilinear", "bmm", "chain_matmul", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "einsum", "linear", "lstm_cell", "matmul", "mm",
    "multi_dot", "mv", "prelu", "scaled_dot_product_attention",
])  # fmt: skip
#: What 16 bits have too little range or too few digits for: computed in float32, and given so.
WIDE = frozenset([
    "acos", "asin", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cdist", "cosh",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "ctc_loss", "cumprod", "cumsum", "dist",
    "erfinv", "exp", "expm1", "gaussian_nll_loss", "group_norm", "hinge_embedding_loss", "huber_loss", "kl_div",
    "l1_loss", "layer_norm", "log", "log10", "log1p", "log2", "log_softmax", "logsumexp", "margin_ranking_loss",
    "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "norm",
    "pdist", "poisson_nll_loss", "pow", "prod", "reciprocal", "renorm", "rsqrt", "sinh", "smooth_l1_loss",
    "soft_margin_loss", "softmax", "softmin", "softplus", "sum", "tan", "triplet_margin_loss",
])  # fmt: skip


def autocasting(name: str, function: Function) -> Function:
    """The function of a row as mixed precision calls it; itself where that changes nothing.

    Outside of a block the call costs one look at the switch.
    """
    if name not in LOWER and name not in WIDE:
        return function
    is_wide = name in WIDE

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        state = autocast.state()
        if not state:
            return function(*args, **kwargs)
        wanted = dict(state)
        args = tuple([_cast(one, wanted, is_wide) for one in args])
        kwargs = {key: _cast(one, wanted, is_wide) for key, one in kwargs.items()}
        # What a row is composed of computes in what it was given.
        with autocast.within(()):
            return function(*args, **kwargs)

    return cast(Function, call)


def _cast(value: Any, wanted: dict[str, DType], is_wide: bool) -> Any:
    """A floating tensor of a device that the block is for, in the dtype of the row; everything else as it is."""
    if isinstance(value, (list, tuple)) and any(isinstance(one, Tensor) for one in value):
        return type(value)([_cast(one, wanted, is_wide) for one in value])
    if not isinstance(value, Tensor) or not value._node.dtype.is_floating_point:
        return value
    dtype = wanted.get(value._node.device.type)
    if dtype is None:
        return value
    target = dtypes.float32 if is_wide else dtype
    return value if value._node.dtype is target else value.to(target)
