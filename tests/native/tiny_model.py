"""A random llama model of a few kilobytes, whole or cut by hand into slices.

The cut here is written down a second time on purpose: these tests must not depend on the package that cuts.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from numpy.typing import NDArray

STAND_IN_VOCAB = 32


@dataclasses.dataclass(frozen=True, slots=True)
class TinyModel:
    num_layers: int = 4
    width: int = 64
    num_heads: int = 2
    num_kv_heads: int = 1
    ffn_width: int = 96
    vocab_size: int = 272
    weight_type: Type = Type.F32
    tied: bool = False
    seed: int = 1

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        rng = np.random.default_rng(self.seed)

        def matrix(rows: int, columns: int) -> NDArray[np.float32]:
            return rng.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)

        kv_width = self.width // self.num_heads * self.num_kv_heads
        result = {"token_embd.weight": matrix(self.vocab_size, self.width)}
        for i in range(self.num_layers):
            result[f"blk.{i}.attn_norm.weight"] = rng.uniform(0.5, 1.5, self.width).astype(np.float32)
            result[f"blk.{i}.attn_q.weight"] = matrix(self.width, self.width)
            result[f"blk.{i}.attn_k.weight"] = matrix(kv_width, self.width)
            result[f"blk.{i}.attn_v.weight"] = matrix(kv_width, self.width)
            result[f"blk.{i}.attn_output.weight"] = matrix(self.width, self.width)
            result[f"blk.{i}.ffn_norm.weight"] = rng.uniform(0.5, 1.5, self.width).astype(np.float32)
            result[f"blk.{i}.ffn_gate.weight"] = matrix(self.ffn_width, self.width)
            result[f"blk.{i}.ffn_up.weight"] = matrix(self.ffn_width, self.width)
            result[f"blk.{i}.ffn_down.weight"] = matrix(self.width, self.ffn_width)
        result["output_norm.weight"] = rng.uniform(0.5, 1.5, self.width).astype(np.float32)
        if not self.tied:
            result["output.weight"] = 4 * matrix(self.vocab_size, self.width)
        return result


def _cut_tensors(model: TinyModel, first: int, end: int) -> dict[str, NDArray[np.float32]]:
    """Layers [first, end), renumbered, with stand-ins for what the slice does not compute."""
    is_first, is_last = first == 0, end == model.num_layers
    whole = model.tensors()
    cut = {}
    for name, values in whole.items():
        if name.startswith("blk."):
            _, number, rest = name.split(".", 2)
            if first <= int(number) < end:
                cut[f"blk.{int(number) - first}.{rest}"] = values
    real_embedding = is_first or (is_last and model.tied)
    if real_embedding:
        cut["token_embd.weight"] = whole["token_embd.weight"]
    else:
        rows = model.vocab_size if is_last else STAND_IN_VOCAB
        cut["token_embd.weight"] = np.zeros((rows, model.width), np.float32)
    cut["output_norm.weight"] = whole["output_norm.weight"] if is_last else np.ones(model.width, np.float32)
    if is_last and not model.tied:
        cut["output.weight"] = whole["output.weight"]
    return cut


def _byte_characters() -> list[str]:
    """GPT-2's printable stand-in for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    table = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [table[b] for b in range(256)]


def _add_tokenizer(writer: gguf.GGUFWriter, vocab_size: int) -> None:
    merges = ["t h", "th e", "Ġ the"]
    tokens = [*_byte_characters(), "th", "the", "Ġthe", "<bos>", "<eos>", "<unk>"]
    types = [1] * 259 + [3, 3, 2]
    while len(tokens) < vocab_size:
        tokens.append(f"<unused{len(tokens)}>")
        types.append(5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(259)
    writer.add_eos_token_id(260)
    writer.add_unk_token_id(261)
    writer.add_add_bos_token(True)


def write_model(
    path: Path,
    model: TinyModel,
    layers: tuple[int, int] | None = None,
    *,
    role: dict[str, int] | None = None,
    vocab_only: bool = False,
    changes: dict[str, NDArray[np.float32]] | None = None,
    pooling: int | None = None,
) -> Path:
    """Write the model, or its layers [first, end); `role` overrides the slice keys, `changes` the tensors.

    `pooling`: how GGUF numbers the way in which one vector is made of a text.
    """
    first, end = layers or (0, model.num_layers)
    is_last = end == model.num_layers
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(end - first)
    writer.add_context_length(256)
    writer.add_embedding_length(model.width)
    writer.add_feed_forward_length(model.ffn_width)
    writer.add_head_count(model.num_heads)
    writer.add_head_count_kv(model.num_kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(model.width // model.num_heads)
    if pooling is not None:
        writer.add_uint32("llama.pooling_type", pooling)
    if layers is None or is_last:
        _add_tokenizer(writer, model.vocab_size)
    else:
        writer.add_tokenizer_model("none")
        writer.add_vocab_size(model.vocab_size if first == 0 else STAND_IN_VOCAB)
    if layers is not None:
        keys = {"first": first, "end": end, "num_layers": model.num_layers, "vocab_size": model.vocab_size}
        for name, value in (keys if role is None else role).items():
            writer.add_uint32(f"ggml_cluster.slice.{name}", value)
    tensors = {} if vocab_only else _cut_tensors(model, first, end) | (changes or {})
    for name, values in tensors.items():
        if values.ndim == 2 and model.weight_type != Type.F32:
            packed = gguf.quants.quantize(values, model.weight_type)
            writer.add_tensor(name, packed, raw_dtype=model.weight_type)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
