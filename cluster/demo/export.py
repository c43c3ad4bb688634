"""Writes the trained model and its tokenizer as a GGUF: matrices Q8_0, norms F32. Does not need torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import gguf
import numpy as np
from numpy.typing import NDArray

from cluster.demo.tokenizer import IM_END, Tokenizer

CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\n' }}"
    "{%- endif %}"
)


class Shape(Protocol):
    """The sizes that go into the header; ``ModelShape`` has them."""

    @property
    def d_model(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    @property
    def num_heads(self) -> int: ...
    @property
    def num_kv_heads(self) -> int: ...
    @property
    def head_width(self) -> int: ...
    @property
    def d_ff(self) -> int: ...
    @property
    def context_length(self) -> int: ...
    @property
    def rope_base(self) -> float: ...
    @property
    def norm_eps(self) -> float: ...


def write_gguf(path: Path, shape: Shape, tokenizer: Tokenizer, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """``tensors`` have llama.cpp's names; matrices are [out, in]."""
    draft = path.with_name(path.name + ".part")
    writer = gguf.GGUFWriter(draft, "llama")
    _add_header(writer, shape)
    _add_tokenizer(writer, tokenizer)
    for name, array in tensors.items():
        _add_tensor(writer, name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    # A rename: whoever has the former file mapped keeps it whole.
    draft.replace(path)


def _add_header(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("ggml-cluster demo")
    writer.add_description("Tells short children's stories, in a chat too; trained on what cluster/demo writes")
    writer.add_license("MIT")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.d_model)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.d_ff)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_eps)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    tokens = tokenizer.tokens
    kinds = [gguf.TokenType.NORMAL] * tokenizer.bos_id + [gguf.TokenType.CONTROL] * len(tokenizer.controls)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(list(tokens))
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.bos_id)
    writer.add_eos_token_id(tokenizer.eos_id)
    writer.add_eot_token_id(tokenizer.control_id(IM_END))
    writer.add_chat_template(CHAT_TEMPLATE)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)


def _add_tensor(writer: gguf.GGUFWriter, name: str, array: NDArray[np.float32]) -> None:
    if array.ndim == 1:
        writer.add_tensor(name, array)
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
