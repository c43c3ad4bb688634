"""The weights of a program as llama.cpp reads them, to be measured beside it: the same blocks, by its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.benchmark.shapes import LlamaShape
from ggml.programs.program import Program
from ggml.tensors.tensor import Tensor

_LAYER = {
    "norm1": "attn_norm", "query": "attn_q", "key": "attn_k", "value": "attn_v", "out": "attn_output",
    "norm2": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}  # fmt: skip

_WHOLE = {"tokens": "token_embd", "norm": "output_norm", "head": "output"}


def write_llama(program: Program, shape: LlamaShape, path: Path) -> None:
    """Write the weights of ``models.Llama`` to a file that llama.cpp opens, without a vocabulary."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(shape.vocabulary)
    writer.add_tokenizer_model("no_vocab")
    writer.add_context_length(shape.capacity)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_groups)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(shape.head)
    for name, tensor in program.weights.items():
        target = _target(name)
        if target is not None:
            heads = {"attn_q": shape.num_heads, "attn_k": shape.num_groups}.get(target.split(".")[-2])
            rows = _rows(tensor)
            rows = rows if heads is None else _paired(rows, heads)
            kind = gguf.GGMLQuantizationType[tensor.dtype.name.upper()] if tensor.dtype.is_quantized else None
            writer.add_tensor(target, rows, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _target(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] == "layers":
        return f"blk.{parts[1]}.{_LAYER[parts[2]]}.weight" if parts[2] in _LAYER else None
    return f"{_WHOLE[parts[0]]}.weight" if parts[0] in _WHOLE else None


def _rows(tensor: Tensor) -> NDArray[Any]:
    """The elements, or the bytes of the blocks of each row."""
    if not tensor.dtype.is_quantized:
        return tensor.numpy()
    return np.frombuffer(tensor.raw_bytes(), np.uint8).reshape(tensor.shape[0], -1)


def _paired(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """llama.cpp turns neighbouring elements of a head, where the model turns an element with one half a head away."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
