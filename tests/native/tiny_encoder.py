"""A random encoder of a few kilobytes, with a vocabulary of letters, and with a head that ranks if it is asked for."""

from __future__ import annotations

import string
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

NUM_LAYERS, WIDTH, FFN_WIDTH, CONTEXT = 2, 32, 48, 128
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"\u2581{c}" for c in string.ascii_lowercase)]
TOKENS += [*string.ascii_lowercase, "\u2581the", "\u2581cat", "\u2581dog", *(f"\u2581{c}" for c in ".,?!")]


def write_encoder(path: Path, *, pooling: int, ranks: bool = False, architecture: str = "bert") -> Path:
    """`pooling`: as GGUF numbers it. `ranks`: with a head of one score. `architecture`: bert, or nomic-bert."""
    is_nomic = architecture == "nomic-bert"
    rng = np.random.default_rng(5)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(NUM_LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN_WIDTH)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_uint32(f"{architecture}.pooling_type", pooling)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 5 + [1] * (len(TOKENS) - 5))
    writer.add_token_type_count(2)
    for name, token in (("padding", 0), ("unknown", 1), ("cls", 2), ("seperator", 3), ("mask", 4), ("bos", 2)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return rng.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)

    def add_norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", rng.uniform(0.5, 1.5, WIDTH).astype(np.float32))
        writer.add_tensor(f"{name}.bias", rng.normal(0, 0.1, WIDTH).astype(np.float32))

    def add_linear(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", matrix(rows, columns))
        writer.add_tensor(f"{name}.bias", rng.normal(0, 0.1, rows).astype(np.float32))

    writer.add_tensor("token_embd.weight", matrix(len(TOKENS), WIDTH))
    writer.add_tensor("token_types.weight", matrix(2, WIDTH))
    if is_nomic:
        writer.add_rope_freq_base(1000.0)
    else:
        writer.add_tensor("position_embd.weight", matrix(CONTEXT, WIDTH))
    add_norm("token_embd_norm")
    for layer in range(NUM_LAYERS):
        add_norm(f"blk.{layer}.attn_output_norm")
        if is_nomic:
            for name, rows in (("attn_qkv", 3 * WIDTH), ("attn_output", WIDTH), ("ffn_up", FFN_WIDTH)):
                writer.add_tensor(f"blk.{layer}.{name}.weight", matrix(rows, WIDTH))
            writer.add_tensor(f"blk.{layer}.ffn_gate.weight", matrix(FFN_WIDTH, WIDTH))
            writer.add_tensor(f"blk.{layer}.ffn_down.weight", matrix(WIDTH, FFN_WIDTH))
        else:
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                add_linear(f"blk.{layer}.{name}", WIDTH, WIDTH)
            add_linear(f"blk.{layer}.ffn_up", FFN_WIDTH, WIDTH)
            add_linear(f"blk.{layer}.ffn_down", WIDTH, FFN_WIDTH)
        add_norm(f"blk.{layer}.layer_output_norm")
    if ranks:
        add_linear("cls", WIDTH, WIDTH)
        add_linear("cls.output", 1, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
