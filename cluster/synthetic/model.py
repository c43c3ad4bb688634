"""A llama of random weights in a shape of a known size: it computes as long as a trained one, without a download."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from cluster.api.errors import UsageError
from cluster.node.disk import named_errors
from cluster.node.own_files import make_own_folder, open_own
from cluster.node.xdg import cache_folder
from cluster.synthetic.blocks import random_matrix
from cluster.terminal.activity import Activity

FILE_VERSION = 1  # part of the name: a changed recipe is another file
VOCAB_SIZE = 32000
KINDS = ("Q4_0", "Q8_0", "Q4_K", "F16")


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a llama. Every matrix, embedding and head included, has the asked type; norms are F32."""

    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    feed_forward: int
    context_length: int = 16384
    vocab_size: int = VOCAB_SIZE

    @property
    def head_width(self) -> int:
        return self.width // self.num_heads


SHAPES = {
    "300m": Shape(20, 1024, 16, 4, 2816),
    "1b": Shape(22, 2048, 32, 4, 5632),  # TinyLlama 1.1B
    "3b": Shape(28, 3072, 24, 8, 8192),  # Llama 3.2 3B
    "8b": Shape(32, 4096, 32, 8, 14336),  # Llama 3 8B
}


def synthetic_model(name: str, note: Callable[[str], None] = lambda text: None) -> Path:
    """The file for ``SHAPE:KIND``, such as "1b:Q4_0"; written to the bench cache unless it is there. UsageError."""
    size, _, kind = name.partition(":")
    if size not in SHAPES or kind not in KINDS:
        raise UsageError(
            f"synthetic: {name!r} is not known; give one of {', '.join(SHAPES)}, a colon and {', '.join(KINDS)}"
        )
    path = bench_cache() / f"synthetic-{size}-{kind}-{FILE_VERSION}.gguf"
    with named_errors(path.parent, "set XDG_CACHE_HOME to another folder"):
        make_own_folder(path.parent)
    if not _is_own_file(path):
        note(f"writing {path} (random weights)")
        advice = "set XDG_CACHE_HOME to a folder on another disk"
        with named_errors(path.parent, advice), Activity("writing random weights"):
            _replace(path, lambda temporary: write_model(temporary, SHAPES[size], kind))
    return path


def _is_own_file(path: Path) -> bool:
    descriptor = open_own(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


def bench_cache() -> Path:
    """The cache folder for synthetic models."""
    return cache_folder("bench")


Matrix = Callable[[str, int, int, np.random.Generator], NDArray[np.uint8]]


def write_model(path: Path, shape: Shape, kind: str, matrix: Matrix = random_matrix) -> None:
    """Write a model of `shape` to `path`; the same bytes each time."""
    writer = gguf.GGUFWriter(path, "llama")
    _write_keys(writer, shape)
    _write_tokenizer(writer, shape.vocab_size)
    tensors = list(_tensors(shape))
    for name, sizes in tensors:
        _write_info(writer, name, sizes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, sizes in tensors:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        is_norm = len(sizes) == 1
        writer.write_tensor_data(np.ones(sizes, np.float32) if is_norm else matrix(kind, sizes[0], sizes[1], rng))
    writer.close()


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".synthetic-")
    os.close(descriptor)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_info(writer: gguf.GGUFWriter, name: str, sizes: tuple[int, ...], kind: str) -> None:
    if len(sizes) == 1:
        writer.add_tensor_info(name, sizes, np.dtype(np.float32), 4 * sizes[0])
        return
    number = GGMLQuantizationType[kind]
    block_length, block_bytes = GGML_QUANT_SIZES[number]
    row_bytes = sizes[1] // block_length * block_bytes
    writer.add_tensor_info(name, (sizes[0], row_bytes), np.dtype(np.uint8), sizes[0] * row_bytes, raw_dtype=number)


def _write_keys(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name("random llama")
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab_size)


def _write_tokenizer(writer: gguf.GGUFWriter, vocab_size: int) -> None:
    """A sentencepiece vocabulary: 3 control tokens, all bytes, and words."""
    control = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    byte_tokens = [(f"<0x{byte:02X}>", 6) for byte in range(256)]
    words = [(f"\u2581w{index}", 1) for index in range(vocab_size - len(control) - len(byte_tokens))]
    tokens = control + byte_tokens + words
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, shape in PyTorch order) in file order."""
    width, hidden, kv_width = shape.width, shape.feed_forward, shape.num_kv_heads * shape.head_width
    yield "token_embd.weight", (shape.vocab_size, width)
    yield "output_norm.weight", (width,)
    yield "output.weight", (shape.vocab_size, width)
    for layer in range(shape.num_layers):
        for name, sizes in (
            ("attn_norm", (width,)),
            ("attn_q", (width, width)),
            ("attn_k", (kv_width, width)),
            ("attn_v", (kv_width, width)),
            ("attn_output", (width, width)),
            ("ffn_norm", (width,)),
            ("ffn_gate", (hidden, width)),
            ("ffn_down", (width, hidden)),
            ("ffn_up", (hidden, width)),
        ):
            yield f"blk.{layer}.{name}.weight", sizes
