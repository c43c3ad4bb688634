"""Layers of zeros in slices that keep the numbers of their layers, made as small as libllama takes them.

They are of the kinds of the model's layers, with as many heads, and have their caches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.cutting.model import Model
from ggml.gguf.header import TensorInfo
from ggml.gguf.tensor_types import F16, Q1_0, TensorType

# The width of a feed-forward of zeros.
FEED_FORWARD_WIDTH = 32
_DENSE = "leading_dense_block_count"
_OPTIONAL = (".scale", ".input_scale", "attn_gate.weight")
_KEPT = ("ffn_norm.weight", "ffn_res_score.weight")


def are_narrow(model: Model, first: int) -> bool:
    """Whether layers in front of `first` may have a narrow feed-forward: its width is that of all that are dense."""
    return model.block_size > 0 and first > 0 and first >= model.header.uint32(model.key(_DENSE), 0)


def small_tensors(
    model: Model, tensors: Sequence[tuple[str, TensorInfo]], narrow: bool
) -> Iterator[tuple[str, tuple[int, ...], TensorType]]:
    """(suffix, shape, type) of the tensors of a layer of zeros, for those of the layer itself.

    `narrow`: with a narrow feed-forward in place of its own, or of experts.
    """
    for suffix, info in tensors:
        is_feed_forward = suffix.startswith(("ffn_", "exp_probs_b")) and suffix not in _KEPT
        if not suffix.endswith(_OPTIONAL) and not (narrow and is_feed_forward):
            yield suffix, info.shape, _small_type(suffix, info)
    if narrow:
        width, inner = model.hidden_width, FEED_FORWARD_WIDTH
        for part, shape in (("gate", (inner, width)), ("up", (inner, width)), ("down", (width, inner))):
            yield f"ffn_{part}.weight", shape, F16


def _small_type(suffix: str, info: TensorInfo) -> TensorType:
    is_matrix = len(info.shape) > 1 and "conv" not in suffix and info.shape[-1] % Q1_0.block_size == 0
    return Q1_0 if is_matrix else info.type
