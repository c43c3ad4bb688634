"""What libllama keeps for each layer: keys and values, the keys of an indexer, running states.

Read in llama.cpp's src/llama-kv-cache*.cpp, src/llama-memory-recurrent.cpp, src/llama-memory-hybrid-idx.cpp and
src/llama-hparams.cpp. Windows keep a full cache here (swa_full), so that a slot can be truncated.
"""

from __future__ import annotations

from cluster.cutting import per_layer
from cluster.cutting.keys import ngram_layers
from cluster.cutting.layers import owns_indexer
from cluster.cutting.model import Model
from ggml.gguf.tensor_types import F32, TensorType

# Encoders for which libllama makes a cache all the same: of one context, or of one microbatch where that is larger,
# which is not known here (worker_native/src/slice/load.cpp).
_READ_BY_NONE = frozenset({"llama-embed", "t5encoder"})
CELL_STEP = 256  # libllama rounds the cells of a slot up to a multiple of this


def layer_cache_bytes(
    model: Model, num_cells: int, type_k: TensorType, type_v: TensorType, num_slots: int
) -> tuple[int, ...]:
    """Bytes for each layer; `model_sizes` tells the arguments."""
    if model.architecture in _READ_BY_NONE:
        num_cells, num_slots = num_cells // max(num_slots, 1), min(num_slots, 1)
    elif model.row.is_encoder:
        return (0,) * model.num_layers
    if num_slots:
        num_cells = _rounded(-(-num_cells // num_slots)) * num_slots
    found = []
    for layer in range(model.num_layers):
        cached = num_cells * _cell_bytes(model, layer, type_k, type_v) if model.attends[layer] else 0
        if model.architecture == "deepseek4":
            cached += _compressed_bytes(model, layer, num_cells, type_k, num_slots)
        found.append(cached + num_slots * _state_bytes(model, layer))
    if model.architecture == "graniteswitch":  # each slice finds with one head more which adapter is switched on
        width_k, width_v = _head_widths(model, 0, per_layer.numbers(model.header, "attention.head_count", 0)[0])
        found[0] += num_cells * (_row_bytes(type_k, width_k) + _row_bytes(type_v, width_v))
    if model.row.encodes_prompt:  # as much for each layer of the encoder, which may have more
        found[0] += (model.header.num_layers - model.num_layers) * found[0]
    return tuple(found)


def _number(model: Model, name: str, default: int = 0) -> int:
    return model.header.uint32(model.key(name), default)


def _rounded(num_cells: int) -> int:
    return -(-num_cells // CELL_STEP) * CELL_STEP


def _row_bytes(kind: TensorType, num_elements: int) -> int:
    return -(-num_elements // kind.block_size) * kind.block_bytes


def _cell_bytes(model: Model, layer: int, type_k: TensorType, type_v: TensorType) -> int:
    """Bytes of one token in one layer."""
    num_heads = per_layer.numbers(model.header, "attention.head_count", 0)
    num_kv_heads = per_layer.numbers(model.header, "attention.head_count_kv", num_heads[0])[layer]
    width_k, width_v = _head_widths(model, layer, num_heads[0])
    total = _row_bytes(type_k, num_kv_heads * width_k)
    if not _keeps_keys_only(model):
        total += _row_bytes(type_v, num_kv_heads * width_v)
    return total + _indexer_bytes(model, layer, type_k, type_v, width_v)


def _head_widths(model: Model, layer: int, num_heads: int) -> tuple[int, int]:
    """The widths of keys and of values; layers with a window may have widths of their own."""
    default = model.hidden_width // max(num_heads, 1)
    widths = [_number(model, f"attention.{name}_length", default) for name in ("key", "value")]
    if model.sliding is not None and model.sliding[layer]:
        for index, name in enumerate(("key", "value")):
            widths[index] = _number(model, f"attention.{name}_length_swa", widths[index])
    if model.architecture in ("kimi-k3", "glm5-next"):
        widths[1] = _number(model, "attention.kv_lora_rank")
    return widths[0], widths[1]


def _keeps_keys_only(model: Model) -> bool:
    """Latent attention makes the values of the keys."""
    if model.architecture == "deepseek4":
        return True
    if model.architecture not in _LATENT:
        return False
    return _number(model, "attention.key_length_mla") > 0 and _number(model, "attention.value_length_mla") > 0


_RWKV = frozenset({"rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
# Architectures whose graph reads the keys of latent attention, attention.*_mla.
_LATENT = frozenset(
    {
        "bailingmoe3",
        "deepseek2",
        "deepseek32",
        "dots3note",
        "glm-dsa",
        "glm5-next",
        "hy_v4",
        "kimi-k3",
        "kimi-linear",
        "mistral4",
    }
)


def _indexer_bytes(model: Model, layer: int, type_k: TensorType, type_v: TensorType, width_v: int) -> int:
    """Bytes of one token in the cache of a layer's indexer, where it has one."""
    width = _number(model, "attention.indexer.key_length")
    if model.architecture in ("deepseek32", "glm-dsa", "hy_v4", "dots3note"):
        is_off = model.architecture == "hy_v4" and _number(model, "attention.indexer.top_k") == 0
        is_windowed = model.architecture == "dots3note" and model.sliding is not None and model.sliding[layer]
        return 0 if is_off or is_windowed or not owns_indexer(model)[layer] else _row_bytes(type_k, width)
    if model.architecture == "minimax-m3":
        is_dense = layer < _number(model, "leading_dense_block_count")
        return 0 if is_dense else _row_bytes(type_k, width) + _row_bytes(type_v, width_v)
    if model.architecture == "qwen4exp":
        return _row_bytes(type_k, width)
    if model.architecture == "glm5-next":  # key, gate and pooled value
        return _row_bytes(type_k, 3 * width) if owns_indexer(model)[layer] else 0
    return 0


def _state_bytes(model: Model, layer: int) -> int:
    """Bytes of one slot in a layer with a running state."""
    if not model.recurrent[layer] or model.architecture == "deepseek4":
        return 0
    total = F32.row_bytes(_convolution_width(model)) + F32.row_bytes(_state_width(model))
    if layer in ngram_layers(model):
        num_tokens = (_number(model, "ple.conv_kernel") - 1) * _number(model, "ple.ngram_size")
        total += F32.row_bytes(num_tokens * model.row_width)
    return total


def _convolution_width(model: Model) -> int:
    """Floats of the last tokens."""
    if model.architecture in _RWKV:
        return model.hidden_width * _number(model, "token_shift_count", 2)
    num_heads = per_layer.numbers(model.header, "attention.head_count", 0)[0]
    if model.architecture in ("lfm2", "lfm2moe"):
        return model.hidden_width * (_number(model, "shortconv.l_cache") - 1)
    if _delta_width(model):
        return 3 * (max(_number(model, "ssm.conv_kernel", 4), 1) - 1) * num_heads * _delta_width(model)
    groups = 2 * _number(model, "ssm.group_count") * _number(model, "ssm.state_size")
    if model.architecture in ("mamba", "jamba"):
        groups = 0
    kernel = max(_number(model, "ssm.conv_kernel"), 1)
    return (kernel - 1) * (_number(model, "ssm.inner_size") + groups)


def _state_width(model: Model) -> int:
    """Floats of what is summed up of all tokens."""
    if model.architecture in _RWKV:
        return model.hidden_width * _number(model, "wkv.head_size")
    num_heads = per_layer.numbers(model.header, "attention.head_count", 0)[0]
    if _delta_width(model):
        return _delta_width(model) ** 2 * num_heads
    if model.architecture == "minimax-01":
        return _head_widths(model, 0, num_heads)[0] ** 2 * num_heads
    if model.architecture in ("lfm2", "lfm2moe"):
        return 0
    return _number(model, "ssm.state_size") * _number(model, "ssm.inner_size")


def _delta_width(model: Model) -> int:
    is_delta = model.architecture in ("kimi-linear", "kimi-k3", "bailingmoe3", "glm5-next")
    return _number(model, "kda.head_dim") if is_delta else 0


def _compressed_bytes(model: Model, layer: int, num_cells: int, type_k: TensorType, num_slots: int) -> int:
    """DeepSeek 4 keeps one row for several tokens too, with the indexer's for some, and what they are summed up in."""
    ratio = per_layer.numbers(model.header, "attention.compress_ratios", 0)[layer]
    if ratio not in (4, 128):
        return 0
    width, indexer = _head_widths(model, layer, 1)[0], _number(model, "attention.indexer.key_length")
    slots = max(num_slots, 1)
    rows = _rounded(max(1, -(-(num_cells // slots) // ratio))) * slots
    if ratio == 128:
        return rows * _row_bytes(type_k, width) + num_slots * 2 * F32.row_bytes(width) * ratio
    cached = rows * (_row_bytes(type_k, width) + _row_bytes(type_k, indexer))
    return cached + num_slots * 2 * F32.row_bytes(2 * (width + indexer)) * 2 * ratio
