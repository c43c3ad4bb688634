"""LoRA in a decoder, and in a file: GGUF as llama.cpp's convert_lora_to_gguf.py writes it and libllama loads it.

``NAME.lora_a`` is A [rank, in] and ``NAME.lora_b`` is B [out, rank], where NAME is the model's tensor (``weight``
included); ``adapter.lora.alpha`` over the rank is what libllama multiplies the product with (llama-adapter.h).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ggml.core.errors import ArgumentError, FileFormatError
from ggml.finetuning.decoder import LAYER_TARGETS, OUTPUT, Decoder, linear_at
from ggml.gguf.encode import aligned, encode_header
from ggml.gguf.tensor_types import TensorType, tensor_type
from ggml.gguf.value import float32, string
from ggml.io.gguf_file import GgufFile, open_gguf
from ggml.io.reading import load
from ggml.io.writing import replacing
from ggml.nn.layers.linear import Linear
from ggml.nn.layers.lora import LoRALinear, lora_layers
from ggml.ops.create.interop import from_numpy
from ggml.tensors.tensor import Tensor

_ALPHA = "adapter.lora.alpha"


def add_lora(
    model: Decoder,
    rank: int = 8,
    alpha: float | None = None,
    targets: Sequence[str] = LAYER_TARGETS,
    dropout: float = 0.0,
) -> dict[str, LoRALinear]:
    """Put a LoRALinear around each target of every layer, and freeze all else; the new layers by their GGUF names.

    ``alpha`` is twice the rank by default. Targets are names in a layer (``attn_q`` ...) and ``output``, the head where
    the model has one of its own. ArgumentError for others, and for a model that has LoRA already.
    """
    if lora_layers(model):
        raise ArgumentError("add_lora", "model", "has LoRA already; load it anew")
    known = (*LAYER_TARGETS, OUTPUT)
    for target in targets:
        if target not in known:
            raise ArgumentError("add_lora", "targets", f"{target!a} is none of {', '.join(known)}")
    if not targets:
        raise ArgumentError("add_lora", "targets", f"is empty; give some of {', '.join(known)}")
    if OUTPUT in targets and model.output is None:
        raise ArgumentError("add_lora", "targets", "output: the head is the embedding, where libllama adds nothing")
    names = [f"blk.{layer}.{target}" for layer in range(len(model.blk)) for target in targets if target != OUTPUT]
    names += [OUTPUT] if OUTPUT in targets else []
    model.requires_grad_(False)
    factor = 2.0 * rank if alpha is None else alpha
    return {name: _around(model, name, rank, factor, dropout) for name in names}


def _around(model: Decoder, name: str, rank: int, alpha: float, dropout: float = 0.0) -> LoRALinear:
    owner, last, base = linear_at(model, name)
    layer = LoRALinear(base, rank, alpha, dropout)
    setattr(owner, last, layer)
    return layer


@dataclass(frozen=True, slots=True)
class _Stored:
    """A matrix to write; shape in PyTorch order."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    size_bytes: int


def save_adapter(model: Decoder, path: str | os.PathLike[str]) -> None:
    """Write the LoRA matrices of a model as float32; the file is there whole or not at all.

    ArgumentError where there are none. OSError where the file cannot be written.
    """
    layers = lora_layers(model)
    if not layers:
        raise ArgumentError("save_adapter", "model", "has no LoRA; call add_lora first")
    ratios = {layer.alpha for layer in layers.values()}
    if len(ratios) != 1:
        raise ArgumentError("save_adapter", "model", f"has LoRA with alphas {sorted(ratios)}; a file has one for all")
    kind, stored, data = tensor_type("F32"), [], []
    for name, layer in layers.items():
        for suffix, matrix in (("lora_a", layer.lora_A), ("lora_b", layer.lora_B)):
            raw = matrix.detach().cpu().numpy().astype("<f4").tobytes()
            stored.append(_Stored(f"{name}.weight.{suffix}", tuple(matrix.shape), kind, len(raw)))
            data.append(raw)
    metadata = {
        "general.type": string("adapter"),
        "general.architecture": string(model.shape.architecture),
        "adapter.type": string("lora"),
        _ALPHA: float32(ratios.pop()),
    }
    with replacing(Path(os.path.realpath(path))) as temporary, open(temporary, "wb") as file:
        file.write(encode_header(metadata, stored))
        for raw in data:
            file.write(raw.ljust(aligned(len(raw)), b"\0"))


def load_adapter(model: Decoder, path: str | os.PathLike[str]) -> dict[str, LoRALinear]:
    """Give a model the LoRA of a file, to go on training it or to compute with it; the new layers by GGUF name.

    FileFormatError, which names the tensor, for a file that is no adapter of this model. The model is left as it was.
    """
    file, name = open_gguf(path), os.fspath(path)
    _expect(file, "general.type", "adapter")
    _expect(file, "adapter.type", "lora")
    _expect(file, "general.architecture", model.shape.architecture)
    alpha = file.metadata.get(_ALPHA, 0.0)
    if not isinstance(alpha, float) or not math.isfinite(alpha):
        raise FileFormatError(name, _ALPHA, f"is {alpha!a}, must be a finite number")
    if lora_layers(model):
        raise ArgumentError("load_adapter", "model", "has LoRA already; load it anew")
    tensors = load(name)
    pairs = {base: _pair(name, model, base, tensors) for base in dict.fromkeys(_base(name, one) for one in tensors)}
    if not pairs:
        raise FileFormatError(name, "tensors", "there are none")
    model.requires_grad_(False)
    layers = {}
    for base, (a, b) in pairs.items():
        rank = a.shape[0]
        layers[base] = _around(model, base, rank, alpha or float(rank))  # libllama takes 0 for a scale of 1
        layers[base].lora_A.data, layers[base].lora_B.data = a, b
    return layers


def _expect(file: GgufFile, key: str, wanted: str) -> None:
    found = file.metadata.get(key)
    if found != wanted:
        raise FileFormatError(str(file.path), key, f"is {found!a}, must be {wanted!a}: give an adapter of this model")


def _base(path: str, name: str) -> str:
    base, _, suffix = name.rpartition(".weight.")
    *layer, last = base.split(".")
    is_known = (last in LAYER_TARGETS and len(layer) == 2 and layer[0] == "blk") or base == OUTPUT
    if suffix not in ("lora_a", "lora_b") or not is_known:
        raise FileFormatError(path, ascii(name), "is no matrix of an adapter that can be trained here")
    return base


def _pair(path: str, model: Decoder, base: str, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    number = base.split(".")[1] if base != OUTPUT else "0"
    is_there = number.isascii() and number.isdigit() and int(number) < len(model.blk)
    layer = linear_at(model, base)[2] if is_there else None
    if not isinstance(layer, Linear):
        raise FileFormatError(path, ascii(base), "the model has no such matrix; give an adapter of this model")
    a, b = (tensors.get(f"{base}.weight.{suffix}") for suffix in ("lora_a", "lora_b"))
    if a is None or b is None:
        raise FileFormatError(path, base, "only one of lora_a and lora_b is there")
    num_out, num_in = layer.weight.shape
    shapes = tuple(a.shape), tuple(b.shape)
    rank = a.shape[0] if a.ndim else 0
    if shapes != ((rank, num_in), (num_out, rank)) or not 1 <= rank <= min(num_in, num_out):
        raise FileFormatError(path, base, f"shapes {shapes[0]} and {shapes[1]} do not fit {(num_out, num_in)}")
    # Copies: what is trained must not lie in the mapped file.
    one, other = (from_numpy(np.array(found.float().numpy(), np.float32)) for found in (a, b))
    return one, other
