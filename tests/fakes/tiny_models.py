"""Tiny random GGUFs of the supported architectures, written with gguf-py: for tests only."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TinyModel:
    """The shape of a model. `kind` is the type of its matrices, "F32" or "Q8_0"; vectors are F32.

    `window` and `period` or `pattern` (a flag per layer) are gemma3's; experts and rope factors llama's. `sections`: of
    positions, in qwen2vl and the like; `deepstack`: so many first layers of qwen3vl add more of a picture.
    `tokens` are (text, type) of another vocabulary than the usual one, which begins with <unk>, <s> and </s>, too.
    """

    architecture: str = "llama"
    num_layers: int = 4
    width: int = 128
    num_heads: int = 4
    num_kv_heads: int = 2
    feed_forward: int = 192
    tied: bool = False
    kind: str = "F32"
    window: int = 0
    period: int = 0
    pattern: tuple[int, ...] = ()
    num_experts: int = 0
    rope_factors: bool = False
    sections: tuple[int, ...] = ()
    deepstack: int = 0
    seed: int = 0
    context_length: int = 256
    tokens: tuple[tuple[str, int], ...] = ()
    end_of_turn: int | None = None
    chat_template: str = ""

    @property
    def head_width(self) -> int:
        return self.width // self.num_heads

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    @property
    def vocabulary(self) -> Sequence[tuple[str, int]]:
        return self.tokens or _tokens()


def write_tiny(path: Path, model: TinyModel, max_tensors: int = 0) -> Path:
    """Write `model` to `path`: weights normal with deviation 0.1 (norms near 1), seeded by their names.

    With `max_tensors` it is split into parts that hold so many; returns the first part.
    """
    writer = gguf.GGUFWriter(path, model.architecture, split_max_tensors=max_tensors)
    _write_keys(writer, model)
    _write_tokenizer(writer, model)
    kind = gguf.GGMLQuantizationType[model.kind]
    for name, shape in _tensors(model):
        data = _random(name, shape, model.seed)
        if len(shape) > 1:
            writer.add_tensor(name, quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path if not max_tensors else min(path.parent.glob(f"{path.stem}-00001-of-*.gguf"))


def _random(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    data = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.1)
    return data + np.float32(1) if "norm" in name or "rope" in name else data


def _write_keys(writer: gguf.GGUFWriter, model: TinyModel) -> None:
    writer.add_name(f"tiny {model.architecture}")
    writer.add_context_length(model.context_length)
    writer.add_embedding_length(model.width)
    writer.add_block_count(model.num_layers)
    writer.add_feed_forward_length(model.feed_forward)
    writer.add_head_count(model.num_heads)
    writer.add_head_count_kv(model.num_kv_heads)
    writer.add_key_length(model.head_width)
    writer.add_value_length(model.head_width)
    writer.add_rope_dimension_count(model.head_width)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    if model.num_experts:
        writer.add_expert_count(model.num_experts)
        writer.add_expert_used_count(2)
    if model.architecture == "qwen3vlmoe":
        writer.add_expert_feed_forward_length(model.feed_forward)
    if model.sections:
        writer.add_rope_dimension_sections(list(model.sections))
    if model.deepstack:
        writer.add_uint32(f"{model.architecture}.n_deepstack_layers", model.deepstack)
    if model.window:
        writer.add_sliding_window(model.window)
        writer.add_float32(f"{model.architecture}.rope.freq_base_swa", 5000.0)
    if model.period:
        writer.add_uint32(f"{model.architecture}.attention.sliding_window_pattern", model.period)
    if model.pattern:
        flags = [bool(flag) for flag in model.pattern]
        writer.add_array(f"{model.architecture}.attention.sliding_window_pattern", flags)


def _tokens() -> list[tuple[str, int]]:
    """(text, type) of a sentencepiece vocabulary: 3 control tokens, all bytes, and words; 288 in all."""
    control = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    byte_tokens = [(f"<0x{byte:02X}>", 6) for byte in range(256)]
    words = [(f"\u2581w{index}", 1) for index in range(29)]
    return control + byte_tokens + words


def _write_tokenizer(writer: gguf.GGUFWriter, model: TinyModel) -> None:
    tokens = model.vocabulary
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if model.tokens:
        writer.add_add_space_prefix(False)  # as models for chats have it, whose texts follow control tokens
    if model.end_of_turn is not None:
        writer.add_eot_token_id(model.end_of_turn)
    if model.chat_template:
        writer.add_chat_template(model.chat_template)


def _tensors(model: TinyModel) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, shape in PyTorch order) in file order."""
    yield "token_embd.weight", (model.vocab_size, model.width)
    yield "output_norm.weight", (model.width,)
    if not model.tied:
        yield "output.weight", (model.vocab_size, model.width)
    if model.rope_factors:
        yield "rope_freqs.weight", (model.head_width // 2,)
    for layer in range(model.num_layers):
        for name, shape in _layer_tensors(model).items():
            yield f"blk.{layer}.{name}.weight", shape
        if model.architecture in ("qwen2", "qwen2vl"):
            yield f"blk.{layer}.attn_q.bias", (model.width,)
            yield f"blk.{layer}.attn_k.bias", (model.num_kv_heads * model.head_width,)
            yield f"blk.{layer}.attn_v.bias", (model.num_kv_heads * model.head_width,)


def _layer_tensors(model: TinyModel) -> dict[str, tuple[int, ...]]:
    width, hidden = model.width, model.feed_forward
    kv_width = model.num_kv_heads * model.head_width
    found: dict[str, tuple[int, ...]] = {
        "attn_norm": (width,),
        "attn_q": (width, width),
        "attn_k": (kv_width, width),
        "attn_v": (kv_width, width),
        "attn_output": (width, width),
        "ffn_norm": (width,),
    }
    if model.architecture in ("qwen3", "qwen3vl", "qwen3vlmoe", "gemma3"):
        found |= {"attn_q_norm": (model.head_width,), "attn_k_norm": (model.head_width,)}
    if model.architecture == "gemma3":
        found |= {"post_attention_norm": (width,), "post_ffw_norm": (width,)}
    experts, suffix = ((model.num_experts,), "_exps") if model.num_experts else ((), "")
    if model.num_experts:
        found["ffn_gate_inp"] = (model.num_experts, width)
    return found | {
        f"ffn_gate{suffix}": (*experts, hidden, width),
        f"ffn_down{suffix}": (*experts, width, hidden),
        f"ffn_up{suffix}": (*experts, hidden, width),
    }
