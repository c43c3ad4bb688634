"""A random T5 of a few kilobytes: an encoder and a decoder, with a vocabulary of letters."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import gguf

from tests.native.tiny_embedders import add_random

NUM_LAYERS, NUM_DECODER_LAYERS, WIDTH, FFN_WIDTH, CONTEXT, BUCKETS, HEADS = 3, 2, 32, 48, 128, 8, 2
START, EOS, UNKNOWN = 0, 1, 2
PIECES = ("<pad>", "</s>", "<unk>", "\u2581", *string.ascii_lowercase, *(f"\u2581{c}" for c in string.ascii_lowercase))
PIECES += ("\u2581the", "\u2581cat", "ing", ".", ",")


def write_t5(path: Path, *, gated: bool = True, num_decoder_layers: int = NUM_DECODER_LAYERS) -> Path:
    """`gated`: as Flan-T5 has its feed-forward; else as the first T5."""
    writer = gguf.GGUFWriter(path, "t5")
    writer.add_block_count(NUM_LAYERS)
    writer.add_decoder_block_count(num_decoder_layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FFN_WIDTH)
    writer.add_head_count(HEADS)
    writer.add_key_length(WIDTH // HEADS)
    writer.add_value_length(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_relative_attn_buckets_count(BUCKETS)
    writer.add_decoder_start_token_id(START)
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(list(PIECES))
    writer.add_token_scores([0.0, 0.0, -20.0] + [-float(len(PIECES) - place) for place in range(3, len(PIECES))])
    writer.add_token_types([3, 3, 2] + [1] * (len(PIECES) - 3))
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(UNKNOWN)
    writer.add_pad_token_id(START)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(True)
    add_random(writer, dict(_shapes(gated, num_decoder_layers)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(gated: bool, num_decoder_layers: int) -> Iterator[tuple[str, list[int]]]:
    for name in ("token_embd.weight", "output.weight"):
        yield name, [len(PIECES), WIDTH]
    for part, num_layers in (("enc", NUM_LAYERS), ("dec", num_decoder_layers)):
        yield f"{part}.output_norm.weight", [WIDTH]
        yield f"{part}.blk.0.attn_rel_b.weight", [BUCKETS, HEADS]
        for layer in range(num_layers):
            begin = f"{part}.blk.{layer}"
            for attention in ("attn", *(("cross_attn",) if part == "dec" else ())):
                yield f"{begin}.{attention}_norm.weight", [WIDTH]
                yield from ((f"{begin}.{attention}_{name}.weight", [WIDTH, WIDTH]) for name in "qkvo")
            yield f"{begin}.ffn_norm.weight", [WIDTH]
            yield f"{begin}.ffn_up.weight", [FFN_WIDTH, WIDTH]
            if gated:
                yield f"{begin}.ffn_gate.weight", [FFN_WIDTH, WIDTH]
            yield f"{begin}.ffn_down.weight", [WIDTH, FFN_WIDTH]
