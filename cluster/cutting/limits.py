"""What libllama would abort() on: hyperparameters and tensor types of a sound file that make no sound model.

libllama checks tensor shapes itself, and answers them with an error; but it asserts on what is checked here
(load_hparams in src/llama-model.cpp, and the operations in the graphs of src/models/).
"""

from __future__ import annotations

from cluster.cutting import per_layer
from cluster.cutting.architectures import Architecture
from cluster.cutting.header import Header
from cluster.cutting.key_ranges import check_ranges
from ggml.gguf.tensor_types import F32
from ggml.gguf.value import MetadataArray, ValueType

MAX_EXPERTS = 1024  # LLAMA_MAX_EXPERTS
MAX_MERGES_OF_TOKEN = 16
MAX_ROW_WIDTH = 1 << 18  # floats that a step has for each token; a test compares it with the limit of the wire
MAX_SLIDING_WINDOW = 1 << 24  # far over any context; keeps libllama's 32-bit cache size from wrapping

# Types that weights can be multiplied in; the others exist for activations and indices.
_NOT_WEIGHTS = frozenset({"Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"})
_INDEX_TABLES = (".ffn_gate_tid2eid.weight",)  # which experts serve a token
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")


def check_limits(header: Header, row: Architecture) -> None:
    """ModelFileError naming the key or tensor that libllama or ggml would stop the process at."""
    check_ranges(header, row)
    _check_heads(header, row)
    _check_experts(header)
    architecture = header.architecture
    scaling = header.get(f"{architecture}.rope.scaling.type", ValueType.STRING)
    if scaling is not None and scaling not in _ROPE_SCALINGS:
        raise header.error(f"{architecture}.rope.scaling.type", f"{scaling!a} is none of {_ROPE_SCALINGS}")
    window_key = f"{architecture}.attention.sliding_window"
    if header.uint32(window_key, 0) > MAX_SLIDING_WINDOW:
        raise header.error(window_key, f"over the limit of {MAX_SLIDING_WINDOW}")
    _check_merges(header)
    _check_types(header)
    _check_buckets(header, row)


def _check_merges(header: Header) -> None:
    """libllama takes 16 s for a million of them, and each ends in a token: in real vocabularies there are up to 2.3."""
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    merges = header.metadata.get("tokenizer.ggml.merges")
    if not (tokens and isinstance(tokens.value, MetadataArray) and merges and isinstance(merges.value, MetadataArray)):
        return
    if merges.value.count > MAX_MERGES_OF_TOKEN * max(tokens.value.count, 1):
        raise header.error("tokenizer.ggml.merges", f"{merges.value.count} merges for {tokens.value.count} tokens")


def _check_heads(header: Header, row: Architecture) -> None:
    prefix = f"{header.architecture}.attention"
    counts = per_layer.numbers(header, "attention.head_count", 0)
    kv_counts = per_layer.numbers(header, "attention.head_count_kv", counts[0])
    for num_heads, num_kv_heads in zip(counts, kv_counts, strict=True):
        if num_kv_heads and num_heads % num_kv_heads:
            raise header.error(f"{prefix}.head_count_kv", f"{num_kv_heads} does not divide {num_heads} heads")
    if row.recurrent:
        return  # heads of all kinds, which libllama checks by the shapes of the tensors
    if counts[0] < 1 or kv_counts[0] < 1:
        raise header.error(f"{prefix}.head_count", f"{counts[0]} heads of queries, {kv_counts[0]} of keys and values")
    _check_widths(header, row, counts[0])


def _check_widths(header: Header, row: Architecture, num_heads: int) -> None:
    prefix = f"{header.architecture}.attention"
    width = header.hidden_width // num_heads
    key_length = header.uint32(f"{prefix}.key_length", width)
    value_length = header.uint32(f"{prefix}.value_length", width)
    rope_key = f"{header.architecture}.rope.dimension_count"
    rope_width = header.uint32(rope_key, key_length)
    if key_length < 1 or value_length < 1 or (row.equal and value_length != key_length):
        raise header.error(f"{prefix}.value_length", f"{value_length}, must equal key_length {key_length}")
    if rope_width % 2 or rope_width > key_length or (row.rotary and rope_width != key_length):
        raise header.error(rope_key, f"{rope_width}, must be even and equal key_length {key_length}")
    if not row.equal:
        return
    # Where layer 0 slides, libllama takes its head sizes from these keys for all layers.
    for key in (f"{prefix}.key_length_swa", f"{prefix}.value_length_swa", f"{rope_key}_swa"):
        if header.uint32(key, key_length) not in (key_length, rope_width):
            raise header.error(key, f"{header.uint32(key)}, must equal key_length {key_length}")


def _check_experts(header: Header) -> None:
    architecture = header.architecture
    num_experts = header.uint32(f"{architecture}.expert_count", 0)
    num_used = max(per_layer.numbers(header, "expert_used_count", 0))
    num_groups = header.uint32(f"{architecture}.expert_group_count", 0)
    if num_experts > MAX_EXPERTS:
        raise header.error(f"{architecture}.expert_count", f"{num_experts} is over the limit of {MAX_EXPERTS}")
    if not (num_experts > 0) <= num_used <= num_experts:
        raise header.error(f"{architecture}.expert_used_count", f"{num_used} of {num_experts} experts")
    num_used_groups = header.uint32(f"{architecture}.expert_group_used_count", 0)
    if num_groups and num_groups >= num_experts:
        raise header.error(f"{architecture}.expert_group_count", f"{num_groups} groups of {num_experts} experts")
    if num_groups > 1 and (num_experts % num_groups or not 1 <= num_used_groups < num_groups):
        why = f"{num_used_groups} of {num_groups} groups of {num_experts} experts"
        raise header.error(f"{architecture}.expert_group_used_count", why)


def _check_buckets(header: Header, row: Architecture) -> None:
    """T5 adds a number to each product of attention, by the distance of two tokens in steps that grow: its buckets.

    libllama divides by a quarter of their number, and takes those of the first layer where a layer has none.
    """
    if "enc.blk" not in row.layer_words:
        return
    key = f"{header.architecture}.attention.relative_buckets_count"
    if header.uint32(key) < 4:
        raise header.error(key, f"is {header.uint32(key)}, must be 4 or more")
    names = {info.name for info in header.tensors}
    for block in row.layer_words:
        if (name := f"{block}.0.attn_rel_b.weight") not in names:
            raise header.error(f"tensor {name!a}", "missing")
    if row.encodes_prompt:
        _check_decoder(header)


def _check_decoder(header: Header) -> None:
    num_layers, start = f"{header.architecture}.decoder_block_count", f"{header.architecture}.decoder_start_token_id"
    if not 1 <= header.uint32(num_layers, header.num_layers) <= header.num_layers:
        raise header.error(num_layers, f"is {header.uint32(num_layers)}, must be 1..{header.num_layers}")
    vocab_size = next((info.shape[0] for info in header.tensors if info.name == "token_embd.weight"), 0)
    if header.uint32(start) >= vocab_size:
        raise header.error(start, f"is {header.uint32(start)}, the vocabulary has 0..{vocab_size - 1}")


def _check_types(header: Header) -> None:
    for info in header.tensors:
        if len(info.shape) == 1 and info.type is not F32:
            raise header.error(f"tensor {info.name!a}", f"a vector of type {info.type.name}, must be F32")
        is_table = info.name.endswith(_INDEX_TABLES) and info.type.name == "I32"
        if info.type.name in _NOT_WEIGHTS and not is_table:
            raise header.error(f"tensor {info.name!a}", f"type {info.type.name} cannot hold weights")
