"""What libllama would abort() on: hyperparameters and tensor types of a sound file that make no sound model.

libllama checks tensor shapes itself, and answers them with an error; but it asserts on what is checked here
(load_hparams in src/llama-model.cpp, and the operations in the graphs of src/models/).
"""

from __future__ import annotations

from cluster.gguf.header import Header
from cluster.gguf.tensor_types import F32
from cluster.gguf.value import MetadataArray, ValueType

MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
MAX_SLIDING_WINDOW = 1 << 24  # far over any context; keeps libllama's 32-bit cache size from wrapping

# Types that weights can be multiplied in; the others exist for activations and indices.
_NOT_WEIGHTS = frozenset({"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"})
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")


def check_limits(header: Header) -> None:
    """ModelFileError naming the key or tensor that libllama or ggml would stop the process at."""
    _check_heads(header)
    _check_experts(header)
    architecture = header.architecture
    scaling = header.get(f"{architecture}.rope.scaling.type", ValueType.STRING)
    if scaling is not None and scaling not in _ROPE_SCALINGS:
        raise header.error(f"{architecture}.rope.scaling.type", f"{scaling!a} is none of {_ROPE_SCALINGS}")
    window_key = f"{architecture}.attention.sliding_window"
    if header.uint32(window_key, 0) > MAX_SLIDING_WINDOW:
        raise header.error(window_key, f"over the limit of {MAX_SLIDING_WINDOW}")
    _check_types(header)


def first_layer(header: Header, key: str, default: int | None = None) -> int:
    """A UINT32 key that may also be an array with one value per layer: layer 0's value."""
    found = header.metadata.get(key)
    if found is None or not isinstance(found.value, MetadataArray):
        return header.uint32(key, default)
    array = found.value
    if array.element_type not in (ValueType.UINT32, ValueType.INT32) or array.count == 0:
        raise header.error(key, "an array must hold one UINT32 or INT32 per layer")
    return int(array.numbers().tolist()[0])


def _check_heads(header: Header) -> None:
    prefix = f"{header.architecture}.attention"
    num_heads = first_layer(header, f"{prefix}.head_count")
    num_kv_heads = first_layer(header, f"{prefix}.head_count_kv", num_heads)
    if num_heads < 1:
        raise header.error(f"{prefix}.head_count", f"{num_heads} heads")
    if num_kv_heads < 1 or num_heads % num_kv_heads:
        raise header.error(f"{prefix}.head_count_kv", f"{num_kv_heads} does not divide {num_heads} heads")
    width = header.hidden_width // num_heads
    key_length = header.uint32(f"{prefix}.key_length", width)
    value_length = header.uint32(f"{prefix}.value_length", width)
    rope_key = f"{header.architecture}.rope.dimension_count"
    rope_width = header.uint32(rope_key, key_length)
    if key_length < 1 or value_length != key_length:
        raise header.error(f"{prefix}.value_length", f"{value_length}, must equal key_length {key_length}")
    if rope_width != key_length or rope_width % 2:
        raise header.error(rope_key, f"{rope_width}, must be even and equal key_length {key_length}")
    # Where layer 0 slides, libllama takes its head sizes from these keys for all layers.
    for key in (f"{prefix}.key_length_swa", f"{prefix}.value_length_swa", f"{rope_key}_swa"):
        if header.uint32(key, key_length) != key_length:
            raise header.error(key, f"{header.uint32(key)}, must equal key_length {key_length}")


def _check_experts(header: Header) -> None:
    architecture = header.architecture
    num_experts = header.uint32(f"{architecture}.expert_count", 0)
    num_used = first_layer(header, f"{architecture}.expert_used_count", 0)
    num_groups = header.uint32(f"{architecture}.expert_group_count", 0)
    if num_experts > MAX_EXPERTS:
        raise header.error(f"{architecture}.expert_count", f"{num_experts} is over the limit of {MAX_EXPERTS}")
    if not (num_experts > 0) <= num_used <= num_experts:
        raise header.error(f"{architecture}.expert_used_count", f"{num_used} of {num_experts} experts")
    if num_groups > 1 or (num_groups and num_groups >= num_experts):
        raise header.error(f"{architecture}.expert_group_count", f"{num_groups}, must be 0 or 1")


def _check_types(header: Header) -> None:
    for info in header.tensors:
        if len(info.shape) == 1 and info.type is not F32:
            raise header.error(f"tensor {info.name!a}", f"a vector of type {info.type.name}, must be F32")
        if info.type.name in _NOT_WEIGHTS:
            raise header.error(f"tensor {info.name!a}", f"type {info.type.name} cannot hold weights")
