"""What PyTorch keeps in ``torch`` with other arguments than in ``torch.nn.functional``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ggml.core import dtypes
from ggml.core.dtypes import FLOATING, PLAIN
from ggml.ops.nn import batch_norms, dropouts
from ggml.ops.nn.embedding import embedding as rows_of
from ggml.ops.spatial import adaptive, padding
from ggml.registry.arguments import integer
from ggml.registry.table import Function, op
from ggml.tensors.tensor import Tensor


def _top(sample: str, kinds: tuple[dtypes.DType, ...] = FLOATING) -> Callable[[Function], Function]:
    """The row ``torch_NAME`` of what PyTorch calls ``torch.NAME``."""

    def enter(function: Function) -> Function:
        place = function.__name__.removeprefix("torch_")
        return op(runs="composed", sample=sample, torch=place, dtypes=kinds, methods=())(function)

    return enter


@_top("top_batch_norm")
def torch_batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """As ``nn.functional.batch_norm``, with the arguments in another order."""
    return batch_norms.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@_top("top_batch_norm")
def torch_instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """As ``nn.functional.instance_norm``, with the arguments in another order."""
    return batch_norms.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


@_top("top_dropout")
def torch_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """As ``nn.functional.dropout``."""
    return dropouts.dropout(input, p, train)


@_top("top_dropout")
def torch_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """As ``nn.functional.alpha_dropout``."""
    return dropouts.alpha_dropout(input, p, train)


@_top("top_dropout")
def torch_feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """As ``nn.functional.feature_alpha_dropout``."""
    return dropouts.feature_alpha_dropout(input, p, train)


@_top("top_embedding")
def torch_embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """As ``nn.functional.embedding``, with the weight first. A ``padding_idx`` that names no row is none."""
    row = integer("embedding", padding_idx, "padding_idx")
    is_row = isinstance(weight, Tensor) and weight.ndim == 2 and 0 <= row < weight.shape[0]
    return rows_of(indices, weight, row if is_row else None, scale_grad_by_freq=scale_grad_by_freq)


@_top("constant_pad", PLAIN)
def torch_constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """As ``nn.functional.pad`` in its mode "constant"."""
    return padding.pad(input, pad, "constant", value)


@_top("top_pool", (dtypes.float32,))
def torch_adaptive_max_pool1d(input: Tensor, output_size: int) -> tuple[Tensor, Tensor]:
    """The largest elements of so many parts of the last axis, and their places."""
    return adaptive.adaptive_max_pool1d(input, output_size, return_indices=True)  # type: ignore[no-any-return]
