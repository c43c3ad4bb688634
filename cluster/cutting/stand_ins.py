"""Layers of zeros in front of a slice's own, made as small as libllama takes them.

They are of the kinds of the model's layers, with as many heads, and have their caches. What they multiply is not
computed (slice/zero_layers.h).
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
_NO_MATRICES = ("conv", "lerp", "attn_rel_b")  # convolved, mixed value by value, looked up


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
            yield suffix, info.shape, small_type(suffix, info)
    if narrow:
        width, inner = model.hidden_width, FEED_FORWARD_WIDTH
        for part, shape in (("gate", (inner, width)), ("up", (inner, width)), ("down", (width, inner))):
            yield f"ffn_{part}.weight", shape, F16


def small_type(suffix: str, info: TensorInfo) -> TensorType:
    """The type of zeros in its place: only what libllama multiplies with as a matrix can be packed."""
    is_matrix = len(info.shape) > 1 and not any(word in suffix for word in _NO_MATRICES)
    return Q1_0 if is_matrix and info.shape[-1] % Q1_0.block_size == 0 else info.type
