"""Attention with several heads, with PyTorch's parameters and masks."""

from __future__ import annotations

import math

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.nn import functional, init
from ggml.nn.layers.kv_cache import KVCache
from ggml.nn.layers.linear import Linear
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place, empty, zeros
from ggml.ops.elementwise.selection import where
from ggml.ops.linalg.matmul import matmul
from ggml.ops.nn.normalization import softmax
from ggml.ops.shape.concatenation import cat
from ggml.ops.shape.cutting import narrow
from ggml.tensors.tensor import Tensor

__all__ = ["MultiheadAttention"]

_NAME = "MultiheadAttention"


class MultiheadAttention(Module):
    """As ``torch.nn.MultiheadAttention``: queries [L, N, E] (or [N, L, E] with ``batch_first``, or [L, E]).

    Beyond PyTorch, ``kv_cache`` keeps the keys and values of earlier calls; see ``forward``.
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ArgumentError(_NAME, "embed_dim", f"must be a multiple of num_heads: {embed_dim} and {num_heads}")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        packed = {"in_proj_weight": (3 * embed_dim, embed_dim)}
        widths = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim, "v_proj_weight": self.vdim}
        apart = {name: (embed_dim, width) for name, width in widths.items()}
        wanted = packed if self._qkv_same_embed_dim else apart
        shapes: dict[str, tuple[int, ...] | None] = {name: wanted.get(name) for name in (*apart, *packed)}
        shapes["in_proj_bias"] = (3 * embed_dim,) if bias else None
        for name, shape in shapes.items():
            value = None if shape is None else Parameter(empty(shape, device=device, dtype=dtype))
            self.register_parameter(name, value)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        for name in ("bias_k", "bias_v"):
            value = Parameter(empty((1, 1, embed_dim), device=device, dtype=dtype)) if add_bias_kv else None
            self.register_parameter(name, value)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Weights by Xavier's rule, biases 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        kv_cache: KVCache | None = None,
        cache_position: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """What the heads see, joined, and the weights (averaged over the heads) if they are needed.

        Masks are PyTorch's: True hides a key, floats are added; ``key_padding_mask`` [N, S] and ``attn_mask``
        [L, S] or [N * heads, L, S]. ``is_causal`` says that ``attn_mask`` is causal, and needs it.

        With a ``kv_cache`` keys and values are those of the new tokens alone. They are written behind the earlier
        ones (or to ``cache_position`` [L], which a compiled function needs), and each query sees every place up to its
        own. Masks, if there are any, then have S equal to the capacity.
        """
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            raise ArgumentError(_NAME, "attn_mask", "must be given where is_causal says that it is causal")
        heads: tuple[Tensor, ...] = self._heads(query, key, value)
        padding = key_padding_mask if key_padding_mask is None or query.ndim == 3 else key_padding_mask.unsqueeze(0)
        if kv_cache is None:
            sizes = (heads[0].shape[0], heads[0].shape[2], heads[1].shape[2])
            mask = self._mask(padding, attn_mask, sizes)
            heads, mask = self._extended(heads, mask)
        else:
            heads, mask = self._cached(heads, padding, attn_mask, kv_cache, cache_position)
        share = self.dropout if self.training else 0.0
        if need_weights:
            result, weights = _with_weights(heads, mask, share)
            weights = weights.mean(1) if average_attn_weights else weights
            return self._joined(result, query.ndim), weights if query.ndim == 3 else weights.squeeze(0)
        seen = None if mask is None else mask.logical_not() if mask.dtype is dtypes.bool_ else mask
        is_plain = is_causal and padding is None and kv_cache is None
        attended = functional.scaled_dot_product_attention(
            heads[0], heads[1], heads[2], attn_mask=None if is_plain else seen, dropout_p=share, is_causal=is_plain
        )
        return self._joined(attended, query.ndim), None

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        parts = (query, key, value)
        if any(not isinstance(part, Tensor) for part in parts):
            raise DTypeError(_NAME, "tensors", " and ".join(type(part).__name__ for part in parts))
        shapes = tuple(tuple(part.shape) for part in parts)
        widths = (self.embed_dim, self.kdim, self.vdim)
        if query.ndim not in (2, 3) or any(len(shape) != query.ndim for shape in shapes):
            raise ShapeMismatchError(_NAME, "query, key and value of two or of three axes", shapes)
        if tuple(shape[-1] for shape in shapes) != widths or shapes[1][:-1] != shapes[2][:-1]:
            raise ShapeMismatchError(_NAME, f"widths {widths}, and keys and values in pairs", shapes)
        batch = 0 if self.batch_first else 1
        if query.ndim == 3 and shapes[0][batch] != shapes[1][batch]:
            raise ShapeMismatchError(_NAME, "one batch of queries and keys", shapes)

    def _heads(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [N, heads, tokens, width]."""
        width = self.embed_dim
        if self.in_proj_weight is not None and query is key and key is value:
            joined = functional.linear(query, self.in_proj_weight, self.in_proj_bias)
            parts = [narrow(joined, -1, place * width, width) for place in range(3)]
        else:
            weights = self._weights()
            biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
            projected = zip((query, key, value), weights, biases, strict=True)
            parts = [functional.linear(part, weight, bias) for part, weight, bias in projected]
        first, second, third = (self._split(part) for part in parts)
        return first, second, third

    def _weights(self) -> list[Tensor]:
        if self.in_proj_weight is not None:
            return list(self.in_proj_weight.chunk(3))
        apart = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return [weight for weight in apart if weight is not None]

    def _split(self, part: Tensor) -> Tensor:
        split = part.reshape(*part.shape[:-1], self.num_heads, self.head_dim)
        if part.ndim == 2:
            return split.permute(1, 0, 2).unsqueeze(0)
        return split.permute(0, 2, 1, 3) if self.batch_first else split.permute(1, 2, 0, 3)

    def _joined(self, result: Tensor, rank: int) -> Tensor:
        batch, _, length, _ = result.shape
        if rank == 2:
            return self.out_proj(result.squeeze(0).permute(1, 0, 2).reshape(length, self.embed_dim))  # type: ignore[no-any-return]
        shape = (batch, length) if self.batch_first else (length, batch)
        order = (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3)
        return self.out_proj(result.permute(order).reshape(*shape, self.embed_dim))  # type: ignore[no-any-return]

    def _mask(self, padding: Tensor | None, mask: Tensor | None, sizes: tuple[int, int, int]) -> Tensor | None:
        """Both masks as one that broadcasts to [N, heads, L, S]: bools (True hides), or floats to add."""
        batch, length, keys = sizes
        parts = []
        if padding is not None:
            parts.append(_of_shape("key_padding_mask", padding, ((batch, keys),)).reshape(batch, 1, 1, keys))
        if mask is not None:
            shapes = ((length, keys), (batch * self.num_heads, length, keys))
            given = _of_shape("attn_mask", mask, shapes)
            parts.append(given if given.ndim == 2 else given.reshape(batch, self.num_heads, length, keys))
        if any(part.dtype is not dtypes.bool_ for part in parts):
            parts = [where(part, -math.inf, 0.0) if part.dtype is dtypes.bool_ else part for part in parts]
            return parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return None if not parts else parts[0] if len(parts) == 1 else parts[0].logical_or(parts[1])

    def _extended(self, heads: tuple[Tensor, ...], mask: Tensor | None) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """With one learnt key and value, and one of zeros, behind those of the input."""
        query, key, value = heads
        learnt = [] if self.bias_k is None else [(self.bias_k, self.bias_v)]
        for rows in (*learnt, *([(None, None)] if self.add_zero_attn else [])):
            shape = (key.shape[0], self.num_heads, 1, self.head_dim)
            new = [_extra(row, shape, key) for row in rows]
            key, value = cat([key, new[0]], 2), cat([value, new[1]], 2)
            if mask is not None:
                edge = zeros((*mask.shape[:-1], 1), dtype=mask.dtype, device=mask.device)
                mask = cat([mask, edge], -1)
        return (query, key, value), mask

    def _cached(
        self,
        heads: tuple[Tensor, ...],
        padding: Tensor | None,
        mask: Tensor | None,
        cache: KVCache,
        cache_position: Tensor | None,
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        if self.bias_k is not None or self.add_zero_attn:
            raise ArgumentError(_NAME, "kv_cache", "does not go with add_bias_kv or add_zero_attn")
        query, key, value = heads
        keys, values, positions = cache.update(key, value, cache_position)
        hidden = cache.seen(positions).logical_not()
        given = self._mask(padding, mask, (query.shape[0], query.shape[2], cache.capacity))
        if given is None:
            return (query, keys, values), hidden
        if given.dtype is dtypes.bool_:
            return (query, keys, values), given.logical_or(hidden)
        return (query, keys, values), given + where(hidden, -math.inf, 0.0)


def _of_shape(name: str, mask: Tensor, shapes: tuple[tuple[int, ...], ...]) -> Tensor:
    if not isinstance(mask, Tensor) or not (mask.dtype is dtypes.bool_ or mask.is_floating_point()):
        raise DTypeError(_NAME, f"bools or floats as {name}", getattr(mask, "dtype", type(mask).__name__))
    if tuple(mask.shape) not in shapes:
        raise ShapeMismatchError(_NAME, f"a {name} of shape {' or '.join(map(str, shapes))}", tuple(mask.shape))
    return mask


def _extra(row: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """One more key or value for each head: the learnt one, or zeros."""
    if row is None:
        return zeros(shape, dtype=like.dtype, device=like.device)
    return row.reshape(1, shape[1], 1, shape[3]).expand(shape)


def _with_weights(heads: tuple[Tensor, ...], mask: Tensor | None, share: float) -> tuple[Tensor, Tensor]:
    """The long way, with the weights at hand. Queries that see nothing get NaN here, as in PyTorch."""
    query, key, value = heads
    key, value = key.to(query.dtype), value.to(query.dtype)
    scores = matmul(query * math.sqrt(1.0 / query.shape[-1]), key.transpose(-2, -1))
    if mask is not None:
        bias = where(mask, -math.inf, 0.0) if mask.dtype is dtypes.bool_ else mask
        scores = scores + bias.to(scores.dtype)
    weights = softmax(scores, -1)
    if share > 0:
        weights = functional.dropout(weights, share, True)
    return matmul(weights, value), weights
