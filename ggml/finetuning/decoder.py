"""A decoder of llama's kind as a module, over the tensors of a GGUF. Its parts have GGUF's names.

B: texts, T: tokens, D: width, H: heads, K: heads of keys and values, E: width of a head.
"""

from __future__ import annotations

import os
from typing import Any

from ggml.finetuning.attention import attend
from ggml.finetuning.loss import chunked_cross_entropy
from ggml.finetuning.shape import Shape, shape_of
from ggml.finetuning.weights import FrozenLinear, Weights
from ggml.io.gguf_file import open_gguf
from ggml.io.reading import load
from ggml.nn import functional
from ggml.nn.layers.containers import ModuleList
from ggml.nn.layers.embedding import Embedding
from ggml.nn.layers.normalization import RMSNorm
from ggml.nn.layers.rotary import RotaryEmbedding
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import arange
from ggml.tensors.tensor import Tensor
from ggml.utils.checkpoint import checkpoint

#: The matrices of a layer that may learn, by their names in the file.
LAYER_TARGETS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
OUTPUT = "output"


class Layer(Module):
    """Attention to what is before, then a gated feed-forward; each is added to its input. [B, T, D] stays that."""

    def __init__(self, weights: Weights, prefix: str, shape: Shape, rotary: RotaryEmbedding) -> None:
        super().__init__()
        self._shape, self.rotary = shape, rotary
        width, heads, kv_heads = shape.width, shape.num_heads, shape.num_kv_heads
        self.attn_norm = _norm(weights, f"{prefix}attn_norm", width, shape)
        self.attn_q = weights.linear(f"{prefix}attn_q", heads * shape.head_width, width)
        self.attn_k = weights.linear(f"{prefix}attn_k", kv_heads * shape.head_width, width)
        self.attn_v = weights.linear(f"{prefix}attn_v", kv_heads * shape.value_width, width)
        self.attn_output = weights.linear(f"{prefix}attn_output", width, heads * shape.value_width)
        if shape.architecture == "qwen3":
            self.attn_q_norm: Module | None = _norm(weights, f"{prefix}attn_q_norm", shape.head_width, shape)
            self.attn_k_norm: Module | None = _norm(weights, f"{prefix}attn_k_norm", shape.head_width, shape)
        else:
            self.attn_q_norm = self.attn_k_norm = None
        self.ffn_norm = _norm(weights, f"{prefix}ffn_norm", width, shape)
        hidden = shape.feed_forward
        self.ffn_gate = weights.linear(f"{prefix}ffn_gate", hidden, width)
        self.ffn_up = weights.linear(f"{prefix}ffn_up", hidden, width)
        self.ffn_down = weights.linear(f"{prefix}ffn_down", width, hidden)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """``positions`` [T, 1]."""
        x = x + self._attend(self.attn_norm(x), positions)
        rows = self.ffn_norm(x)
        found: Tensor = x + self.ffn_down(functional.swiglu(self.ffn_gate(rows), self.ffn_up(rows)))
        return found

    def _attend(self, x: Tensor, positions: Tensor) -> Tensor:
        shape, (batch, length, _) = self._shape, x.shape
        query = self.attn_q(x).reshape(batch, length, shape.num_heads, shape.head_width)
        key = self.attn_k(x).reshape(batch, length, shape.num_kv_heads, shape.head_width)
        value = self.attn_v(x).reshape(batch, length, shape.num_kv_heads, shape.value_width)
        if self.attn_q_norm is not None and self.attn_k_norm is not None:
            query, key = self.attn_q_norm(query), self.attn_k_norm(key)
        query, key = self.rotary(query, positions), self.rotary(key, positions)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if self.training:  # in one pass, so that a step is a tenth faster; what it rounds need not be libllama's
            seen = functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=shape.attention_scale, enable_gqa=True
            )
        else:
            seen = attend(query, key, value, shape.attention_scale)
        found: Tensor = self.attn_output(seen.transpose(1, 2).reshape(batch, length, -1))
        return found


class Decoder(Module):
    """Tokens [B, T] become logits [B, T, V]. With ``checkpoints`` a layer's inside is computed again for gradients.

    In evaluation mode logits are libllama's to the bit where no matrix is of float32: see ``finetuning.attention``.

    ``output`` is None where the embedding is the head as well.
    """

    def __init__(self, weights: Weights, shape: Shape, num_tokens: int) -> None:
        super().__init__()
        self.shape, self.checkpoints = shape, True
        table = weights.take("token_embd.weight", num_tokens, shape.width)
        self.token_embd = Embedding.from_pretrained(table, freeze=True)
        factors = (
            weights.vector("rope_freqs.weight", shape.num_rotated // 2) if weights.has("rope_freqs.weight") else None
        )
        rotary = RotaryEmbedding(shape.num_rotated, shape.rope_base, shape.rope_mode, shape.rope_scale, factors)
        self.blk = ModuleList([Layer(weights, f"blk.{layer}.", shape, rotary) for layer in range(shape.num_layers)])
        self.output_norm = _norm(weights, "output_norm", shape.width, shape)
        has_head = weights.has("output.weight")
        self.output: Module | None = weights.linear(OUTPUT, num_tokens, shape.width) if has_head else None
        weights.finish()

    def hidden(self, tokens: Tensor) -> Tensor:
        """The rows [B, T, D] that the head multiplies."""
        x = self.token_embd(tokens).float()  # rows of a table of 16 bits come out as such
        positions = arange(tokens.shape[1], device=tokens.device).unsqueeze(1)
        for layer in self.blk:
            x = checkpoint(layer, x, positions) if self.checkpoints and self.training else layer(x, positions)
        found: Tensor = self.output_norm(x)
        return found

    def head(self, rows: Tensor) -> Tensor:
        """[..., D] become logits [..., V]."""
        found: Tensor = functional.linear(rows, self.token_embd.weight) if self.output is None else self.output(rows)
        return found

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.hidden(tokens))

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """The sum over all targets that are not negative of what each costs, in nats. Both [B, T]."""
        rows = self.hidden(tokens).reshape(-1, self.shape.width)
        return chunked_cross_entropy(rows, self.head, targets.reshape(-1))


def load_decoder(path: str | os.PathLike[str]) -> Decoder:
    """The module of a model's file, over its tensors where they lie, quantised ones included.

    FileFormatError for a file that is no such model: of another architecture than llama, qwen2 and qwen3, or with a
    tensor that the module does not know. OSError where it cannot be opened.
    """
    name = os.fspath(path)
    file = open_gguf(name)
    shape = shape_of(file)
    tensors = load(name)
    table = tensors.get("token_embd.weight")
    return Decoder(Weights(name, tensors), shape, table.shape[0] if table is not None and table.ndim == 2 else 0)


def _norm(weights: Weights, name: str, width: int, shape: Shape) -> Module:
    norm = RMSNorm(width, eps=shape.epsilon)
    norm.weight = Parameter(weights.vector(f"{name}.weight", width), requires_grad=False)
    return norm


def linear_at(model: Decoder, name: str) -> tuple[Any, str, Any]:
    """Of a GGUF name without ``.weight``: whose attribute it is, under which name, and the layer, if there is one."""
    owner: Any = model
    *path, last = name.split(".")
    for part in path:
        owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
    return owner, last, getattr(owner, last, None)


__all__ = ["LAYER_TARGETS", "OUTPUT", "Decoder", "FrozenLinear", "Layer", "linear_at", "load_decoder"]
