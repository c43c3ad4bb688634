"""Random models of a few kilobytes that give embeddings, one of each architecture: the keys and shapes that
llama.cpp's src/models load."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.native.tiny_encoder import CONTEXT, FFN_WIDTH, NUM_LAYERS, TOKENS, WIDTH

_HEADS, _EXPERTS, _BUCKETS = 2, 4, 8
_LAYER_NORM = {"attention.layer_norm_epsilon": 1e-6}
_RMS_NORM = {"attention.layer_norm_rms_epsilon": 1e-6}
_EXPERT_KEYS = {"expert_count": _EXPERTS, "expert_used_count": 2, "moe_every_n_layers": 2}
_WINDOW = {"attention.sliding_window": 4, "attention.sliding_window_pattern": [True, False]}

Shapes = Iterator[tuple[str, list[int]]]


def _norms(*names: str, bias: bool = False) -> Shapes:
    for name in names:
        yield f"{name}.weight", [WIDTH]
        if bias:
            yield f"{name}.bias", [WIDTH]


def _products(*names: str, rows: int = WIDTH, columns: int = WIDTH, bias: bool = False) -> Shapes:
    for name in names:
        yield f"{name}.weight", [rows, columns]
        if bias:
            yield f"{name}.bias", [rows]


def _gated(*, up_rows: int = FFN_WIDTH, names: tuple[str, ...] = ("ffn_gate", "ffn_up")) -> Shapes:
    yield from _products(*names, rows=up_rows)
    yield from _products("ffn_down", columns=FFN_WIDTH)


def _bert_layer(architecture: str, layer: int) -> Shapes:
    is_jina_2 = architecture == "jina-bert-v2"
    yield from _products("attn_q", "attn_k", "attn_v", "attn_output", bias=True)
    yield from _norms("attn_output_norm", "layer_output_norm", bias=True)
    if is_jina_2:
        yield from _norms("attn_q_norm", "attn_k_norm", "attn_norm_2", bias=True)
        yield from _products("ffn_gate", "ffn_up", rows=FFN_WIDTH)
    if architecture == "nomic-bert-moe" and layer % 2:
        yield "ffn_gate_inp.weight", [_EXPERTS, WIDTH]
        yield "ffn_up_exps.weight", [_EXPERTS, FFN_WIDTH, WIDTH]
        yield "ffn_down_exps.weight", [_EXPERTS, WIDTH, FFN_WIDTH]
        return
    if not is_jina_2:
        yield from _products("ffn_up", rows=FFN_WIDTH, bias=True)
    yield from _products("ffn_down", columns=FFN_WIDTH, bias=True)


def _layer(architecture: str, layer: int) -> Shapes:
    if "bert-" in architecture:
        yield from _bert_layer(architecture, layer)
        return
    yield from _norms("ffn_norm")
    if architecture != "modern-bert" or layer:
        yield from _norms("attn_norm")
    if architecture in ("neo-bert", "modern-bert"):
        yield from _products("attn_qkv", rows=3 * WIDTH)
        yield from _products("attn_output")
        yield from _gated(up_rows=2 * FFN_WIDTH, names=("ffn_up",))
        return
    if architecture == "t5encoder":
        yield from _products("attn_q", "attn_k", "attn_v", "attn_o")
        if layer == 0:
            yield "attn_rel_b.weight", [_BUCKETS, _HEADS]
    else:
        yield from _products("attn_q", "attn_k", "attn_v", "attn_output")
    yield from _gated()
    if architecture == "gemma-embedding":
        yield from _norms("post_attention_norm", "post_ffw_norm")
        yield from ((f"{name}.weight", [WIDTH // _HEADS]) for name in ("attn_q_norm", "attn_k_norm"))


# Architecture: its keys, and its tensors outside the layers but the embedding.
EMBEDDERS: Mapping[str, tuple[dict[str, Any], tuple[tuple[str, list[int]], ...]]] = {
    "eurobert": (_RMS_NORM, (*_norms("output_norm"),)),
    "gemma-embedding": (_RMS_NORM | _WINDOW, (*_norms("output_norm"),)),
    "jina-bert-v2": (_LAYER_NORM, (*_norms("token_embd_norm", bias=True), ("token_types.weight", [2, WIDTH]))),
    "jina-bert-v3": (_LAYER_NORM, (*_norms("token_embd_norm", bias=True), ("token_types.weight", [2, WIDTH]))),
    "llama-embed": (_RMS_NORM, (*_norms("output_norm"),)),
    "modern-bert": (_LAYER_NORM | _WINDOW, (*_norms("token_embd_norm", "output_norm"),)),
    "neo-bert": (_RMS_NORM, (*_norms("enc.output_norm"),)),
    "nomic-bert-moe": (_LAYER_NORM | _EXPERT_KEYS, (*_norms("token_embd_norm", bias=True),)),
    "t5encoder": (_RMS_NORM | {"attention.relative_buckets_count": _BUCKETS}, (*_norms("enc.output_norm"),)),
}


def write_embedder(
    path: Path, architecture: str, *, pooling: int | None, keys: Mapping[str, Any] | None = None
) -> Path:
    """`pooling`: as GGUF numbers it; None: the file does not say. `keys`: further ones, of the architecture."""
    own, outside = EMBEDDERS[architecture]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(NUM_LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN_WIDTH)
    writer.add_head_count(_HEADS)
    if architecture != "t5encoder":
        writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_uint32(f"{architecture}.pooling_type", pooling)
    for name, value in {**own, **(keys or {})}.items():
        _add_key(writer, f"{architecture}.{name}", value)
    add_vocabulary(writer)
    block = "enc.blk" if architecture == "t5encoder" else "blk"
    shapes = {"token_embd.weight": [len(TOKENS), WIDTH], **dict(outside)}
    for layer in range(NUM_LAYERS):
        shapes |= {f"{block}.{layer}.{name}": shape for name, shape in _layer(architecture, layer)}
    add_random(writer, shapes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_key(writer: gguf.GGUFWriter, name: str, value: Any) -> None:
    if isinstance(value, float):
        writer.add_float32(name, value)
    elif isinstance(value, list):
        writer.add_array(name, value)
    else:
        writer.add_uint32(name, value)


def add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """The letters of tiny_encoder."""
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3] * 5 + [1] * (len(TOKENS) - 5))
    writer.add_token_type_count(2)
    for name, token in (("padding", 0), ("unknown", 1), ("cls", 2), ("seperator", 3), ("mask", 4), ("bos", 2)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)


def add_random(writer: gguf.GGUFWriter, shapes: Mapping[str, list[int]]) -> None:
    """Norms around 1, the others so that a product keeps the size of its rows; seeded by each tensor's name."""
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        is_norm = len(shape) == 1 and name.endswith("weight")
        values = rng.uniform(0.5, 1.5, shape) if is_norm else rng.normal(0, shape[-1] ** -0.5, shape)
        writer.add_tensor(name, values.astype(np.float32))
