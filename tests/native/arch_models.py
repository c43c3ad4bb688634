"""Tiny models of llama.cpp's architectures, made from the descriptions in tests/archs."""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.gguf.encode import ALIGNMENT, encode_header
from ggml.gguf.tensor_types import TensorType, tensor_type
from ggml.gguf.value import SCALAR_FORMAT, MetadataArray, MetadataValue, ValueType, string_array
from tests.native.arch_written import written

DESCRIPTIONS = Path(__file__).parents[1] / "archs" / "models.json.xz"


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    type: TensorType

    @property
    def size_bytes(self) -> int:
        return int(np.prod(self.shape)) * 4


@cache
def descriptions() -> Mapping[str, Any]:
    """name -> {"metadata": {key: [type, value]}, "tensors": [[name, shape, type]]}"""
    found = json.loads(lzma.decompress(DESCRIPTIONS.read_bytes()))
    # Its slices of 4 layers need a fifth, and its last one may not have 4.
    found["smallthinker-long"] = lengthened(found["smallthinker-moe"], 12)
    found["glm4moe-nextn"] = _with_nextn(lengthened(found["glm4moe-moe"], 9))
    found["qwen3vl-deepstack"] = _with_keys(found["qwen3vl-dense"], {"qwen3vl.n_deepstack_layers": ["UINT32", 3]})
    mapping = ["ARRAY:INT32", [0, -1, -1, 1, 2, -1, -1, -1]]
    found["granite-deepstack"] = _with_keys(found["granite-dense"], {"granite.deepstack_mapping": mapping})
    narrow = _narrowed(found["baichuan-dense"])
    found["baichuan-rotary"] = lengthened(narrow, 32)
    found["baichuan-alibi"] = lengthened(narrow, 40)
    # The numbers of layers of the models of 27B, and a model wider than its heads together, which is what they go by.
    found["gemma2-27b"] = lengthened(_widened(found["gemma2-dense"]), 46)
    found["gemma3-27b"] = lengthened(_widened(found["gemma3-dense"]), 62)
    found["exaone4-32b"] = lengthened(_with_narrow_norms(_narrowed(found["exaone4-dense"])), 64)
    found["command-r-plus"] = _with_normed_heads(lengthened(_narrowed(found["command-r-dense"]), 64))
    found["deepseek4-hash"] = _with_hashed_experts(found["deepseek4-moe"])
    gemma4 = found["gemma4-dense"]
    found["kimi-k3-blocks"] = _with_keys(found["kimi-k3-moe"], {"kimi-k3.attn_res.block_size": ["UINT32", 3]})
    found["gemma4-shared"] = _with_keys(gemma4, {"gemma4.attention.shared_kv_layers": ["UINT32", 4]})
    found["gemma4-parts"] = _with_parts(gemma4)
    found["gemma4-both"] = _without_shared_keys(_with_parts(found["gemma4-shared"]), 4)
    found["qwen4exp-later"] = _with_later_ngrams(found["qwen4exp-moe"])
    return found | written()  # type: ignore[no-any-return]


def lengthened(description: Mapping[str, Any], num_layers: int) -> dict[str, Any]:
    """The same with more layers: the first ones again."""
    metadata = {key: list(value) for key, value in description["metadata"].items()}
    block_count = f"{metadata['general.architecture'][1]}.block_count"
    old = metadata[block_count][1]
    for value in metadata.values():
        if value[0].startswith("ARRAY") and len(value[1]) == old:
            value[1] = [value[1][layer % old] for layer in range(num_layers)]
    metadata[block_count][1] = num_layers
    tensors = list(description["tensors"])
    for layer in range(old, num_layers):
        begin = f"blk.{layer % old}."
        tensors += [[f"blk.{layer}.{name[len(begin) :]}", *rest] for name, *rest in tensors if name.startswith(begin)]
    return {"metadata": metadata, "tensors": tensors}


def _with_nextn(description: dict[str, Any]) -> dict[str, Any]:
    """The last layer predicts a further token. (The first layer, which is dense, would not do as its pattern.)"""
    metadata, tensors = description["metadata"], description["tensors"]
    architecture = metadata["general.architecture"][1]
    metadata[f"{architecture}.nextn_predict_layers"] = ["UINT32", 1]
    last, width = metadata[f"{architecture}.block_count"][1] - 1, metadata[f"{architecture}.embedding_length"][1]
    own = [tensor for tensor in tensors if not tensor[0].startswith(f"blk.{last}.")]
    block = [tensor for tensor in tensors if tensor[0].startswith("blk.1.") and not tensor[0].endswith("scale")]
    own += [[f"blk.{last}.{name[6:]}", *rest] for name, *rest in block]
    nextn = {"eh_proj": [width, 2 * width], "enorm": [width], "hnorm": [width]}
    own += [[f"blk.{last}.nextn.{name}.weight", shape, "F32"] for name, shape in nextn.items()]
    return {"metadata": metadata, "tensors": own}


def _with_keys(description: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": description["metadata"] | keys, "tensors": description["tensors"]}


def _narrowed(description: Mapping[str, Any]) -> dict[str, Any]:
    """Two heads of 32 values, for models of many layers."""
    sizes = {"embedding_length": 64, "feed_forward_length": 96, "rope.dimension_count": 32}
    sizes |= {f"attention.{part}_length{kind}": 32 for part in ("key", "value") for kind in ("", "_swa")}
    metadata = {key: list(value) for key, value in description["metadata"].items()}
    architecture = metadata["general.architecture"][1]
    width, feed_forward = (
        metadata[f"{architecture}.{name}"][1] for name in ("embedding_length", "feed_forward_length")
    )
    for name, size in (sizes | {"rope.dimension_count_swa": 32}).items():
        metadata[f"{architecture}.{name}"][1] = size
    extents = {width: 64, feed_forward: 96}
    tensors = [
        [name, [extents.get(size, size) for size in shape], kind] for name, shape, kind in description["tensors"]
    ]
    return {"metadata": metadata, "tensors": tensors}


def _with_narrow_norms(description: Mapping[str, Any]) -> dict[str, Any]:
    """Norms of queries and keys, and factors of the rotation, for heads of 32 values."""
    widths = {"attn_q_norm": 32, "attn_k_norm": 32, "rope_freqs": 16}
    tensors = [
        [name, [widths[part]] if (part := name.split(".")[-2]) in widths else shape, kind]
        for name, shape, kind in description["tensors"]
    ]
    return {"metadata": description["metadata"], "tensors": tensors}


def _widened(description: Mapping[str, Any]) -> dict[str, Any]:
    """Two heads of 32 values in a model of 96."""
    narrow = _narrowed(description)
    architecture = narrow["metadata"]["general.architecture"][1]
    narrow["metadata"][f"{architecture}.embedding_length"][1] = 96
    tensors = []
    for name, shape, kind in narrow["tensors"]:
        part = name.split(".")[-2]
        if part in ("attn_q", "attn_k", "attn_v"):
            wide = [*shape[:1], *(96 for _ in shape[1:])]
        elif part in ("attn_q_norm", "attn_k_norm"):
            wide = [32]
        elif part == "attn_output" and len(shape) == 2:
            wide = [96, 64]
        elif part in ("ffn_gate", "ffn_up", "ffn_down"):
            wide = [96 for _ in shape] if len(shape) == 2 else shape
        else:
            wide = [96 if size == 64 else size for size in shape]
        tensors.append([name, wide, kind])
    return {"metadata": narrow["metadata"], "tensors": tensors}


def _with_normed_heads(description: Mapping[str, Any]) -> dict[str, Any]:
    """Norms of queries and keys, of each head by itself, and logits that are scaled."""
    architecture = description["metadata"]["general.architecture"][1]
    num_layers = description["metadata"][f"{architecture}.block_count"][1]
    parts = [f"blk.{layer}.attn_{part}_norm.weight" for layer in range(num_layers) for part in "qk"]
    tensors = [*description["tensors"], *([name, [2, 32], "F32"] for name in parts)]
    metadata = description["metadata"] | {f"{architecture}.logit_scale": ["FLOAT32", 0.75]}
    return {"metadata": metadata, "tensors": tensors}


def _with_hashed_experts(description: Mapping[str, Any]) -> dict[str, Any]:
    """The token alone chooses the experts of layers 0 and 1."""
    tensors = []
    for name, shape, kind in description["tensors"]:
        is_bias = name in ("blk.0.exp_probs_b.bias", "blk.1.exp_probs_b.bias")
        table = [f"{name[:6]}ffn_gate_tid2eid.weight", [128, 2], "I32"]
        tensors.append(table if is_bias else [name, shape, kind])
    return {"metadata": description["metadata"] | {"deepseek4.hash_layer_count": ["UINT32", 2]}, "tensors": tensors}


def _with_later_ngrams(description: Mapping[str, Any]) -> dict[str, Any]:
    """Layer 2 reads the last tokens, not layer 0."""
    later = [[name.replace("blk.0.ple_", "blk.2.ple_"), *rest] for name, *rest in description["tensors"]]
    metadata = description["metadata"] | {"qwen4exp.ple.layers": ["ARRAY:UINT32", [2]]}
    return {"metadata": metadata, "tensors": later}


def _with_parts(description: Mapping[str, Any]) -> dict[str, Any]:
    """Each layer has 32 values of one further embedding."""
    metadata, width, num_layers = description["metadata"], 128, 8
    tensors = [
        *description["tensors"],
        ["per_layer_token_embd.weight", [128, 32 * num_layers], "F32"],
        ["per_layer_model_proj.weight", [32 * num_layers, width], "F32"],
        ["per_layer_proj_norm.weight", [32], "F32"],
    ]
    of_layers = {"inp_gate": [32, width], "proj": [width, 32], "post_norm": [width]}
    for layer in range(num_layers):
        tensors += [[f"blk.{layer}.{name}.weight", shape, "F32"] for name, shape in of_layers.items()]
    metadata = metadata | {"gemma4.embedding_length_per_layer_input": ["UINT32", 32]}
    return {"metadata": metadata, "tensors": tensors}


def _without_shared_keys(description: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The last layers have no keys and values in the file either."""
    dropped = tuple(f"blk.{layer}.attn_{part}" for layer in range(8 - count, 8) for part in ("k", "v"))
    tensors = [tensor for tensor in description["tensors"] if not tensor[0].startswith(dropped)]
    return {"metadata": description["metadata"], "tensors": tensors}


def architecture_of(name: str) -> str:
    return str(descriptions()[name]["metadata"]["general.architecture"][1])


def metadata_of(name: str, changes: Mapping[str, Any] | None = None) -> dict[str, MetadataValue]:
    return metadata_from(descriptions()[name], changes)


def metadata_from(description: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> dict[str, MetadataValue]:
    """The keys of a model; `changes` sets {arch}.X of those it has."""
    found = {key: list(value) for key, value in description["metadata"].items()}
    architecture = found["general.architecture"][1]
    for key, value in (changes or {}).items():
        if f"{architecture}.{key}" in found:
            found[f"{architecture}.{key}"][1] = value
    return {key: _value(*value) for key, value in found.items()}


def tensors_of(name: str) -> tuple[Tensor, ...]:
    return tensors_from(descriptions()[name])


def tensors_from(description: Mapping[str, Any]) -> tuple[Tensor, ...]:
    return tuple(Tensor(found, tuple(shape), tensor_type(kind)) for found, shape, kind in description["tensors"])


def write_model(path: Path, name: str, changes: Mapping[str, Any] | None = None) -> Path:
    return write_described(path, descriptions()[name], changes)


def write_described(path: Path, description: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> Path:
    """Random weights of standard deviation 0.1, seeded by each tensor's name."""
    return _write(path, metadata_from(description, changes), tensors_from(description))


def write_spoken(path: Path, name: str) -> Path:
    """The same with a vocabulary of pieces, which can be served."""
    metadata = metadata_of(name)
    num_tokens = metadata[f"{architecture_of(name)}.vocab_size"].value
    assert isinstance(num_tokens, int)
    pieces = ("<unk>", "<s>", "</s>", "\u2581", *(chr(place) for place in range(33, 33 + num_tokens - 4)))
    vocabulary = {
        "model": ["STRING", "llama"],
        "tokens": ["ARRAY:STRING", pieces],
        "scores": ["ARRAY:FLOAT32", [-float(place) for place in range(num_tokens)]],
        "token_type": ["ARRAY:INT32", [2, 3, 3] + [1] * (num_tokens - 3)],
        "bos_token_id": ["UINT32", 1],
        "eos_token_id": ["UINT32", 2],
    }
    keys = {f"tokenizer.ggml.{key}": _value(*value) for key, value in vocabulary.items()}
    return _write(path, metadata | keys, tensors_of(name))


def _write(path: Path, metadata: Mapping[str, MetadataValue], tensors: tuple[Tensor, ...]) -> Path:
    with path.open("wb") as file:
        file.write(encode_header(metadata, tensors))
        for tensor in tensors:
            file.write(_random(tensor).tobytes())
            file.write(bytes(-tensor.size_bytes % ALIGNMENT))
    return path


def _random(tensor: Tensor) -> NDArray[np.float32] | NDArray[np.int32]:
    rng = np.random.default_rng(zlib.crc32(tensor.name.encode()))
    if tensor.type.name == "I32":  # a table of experts
        return rng.integers(0, 2, tensor.shape, dtype=np.int32)
    values = rng.standard_normal(tensor.shape, dtype=np.float32) * np.float32(0.1)
    return -np.abs(values) if "ssm_a" in tensor.name else values


def _value(kind: str, value: Any) -> MetadataValue:
    name, _, element = kind.partition(":")
    if not element:
        return MetadataValue(ValueType[name], value)
    if element == "STRING":
        return string_array(tuple(value))
    array = np.array(value, dtype=SCALAR_FORMAT[ValueType[element]])
    return MetadataValue(ValueType.ARRAY, MetadataArray(ValueType[element], len(value), array.tobytes()))
