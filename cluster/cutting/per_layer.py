"""What a model's keys say about each of its layers.

libllama takes many keys as one number for all layers or as an array with a value for each, and some as a period.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.cutting.architectures import Architecture
from cluster.cutting.header import Header
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType

# {arch}.X: one value per layer where it is an array. Any other array holds for the model, or is a key that libllama,
# which looks keys up by name, has no name for and never reads: a slice has it as it is. A test compares this list with
# the names in the library.
PER_LAYER_KEYS = (
    "attention.head_count",
    "attention.head_count_kv",
    "attention.sliding_window_pattern",
    "attention.recurrent_layers",
    "attention.indexer.types",
    "attention.compress_ratios",
    "attention.rope_pattern",
    "feed_forward_length",
    "expert_feed_forward_length",
    "expert_used_count",
    "swiglu_clamp_exp",
    "swiglu_clamp_shexp",
)
# The same, without the architecture in front.
PER_LAYER_GLOBAL_KEYS = ("xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps")
_STATES_ONLY = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_FLAGS = (ValueType.BOOL, ValueType.UINT32, ValueType.INT32)


def arrays(header: Header) -> Mapping[str, MetadataValue]:
    """The keys of this model that hold an array with a value for each layer. ModelFileError if one is too short.

    An empty one counts as absent; where a value is needed, `numbers` misses it.
    """
    prefix = f"{header.architecture}."
    found = {}
    for key in (*(prefix + name for name in PER_LAYER_KEYS), *PER_LAYER_GLOBAL_KEYS):
        value = header.metadata.get(key)
        if value is None or not isinstance(value.value, MetadataArray):
            continue
        array = value.value
        if array.count == 0:
            continue
        if array.element_type is ValueType.STRING or array.count < header.num_layers:
            raise header.error(key, f"{array.count} values of {array.element_type.name} for {header.num_layers} layers")
        found[key] = value
    return found


def numbers(header: Header, name: str, default: int | None = None) -> tuple[int, ...]:
    """{arch}.`name` for each layer: an array of it, or one UINT32 for all."""
    key = f"{header.architecture}.{name}"
    found = header.metadata.get(key)
    if found is None or not isinstance(found.value, MetadataArray):
        return (header.uint32(key, default),) * header.num_layers
    if found.value.element_type not in _FLAGS:
        raise header.error(key, f"values of {found.value.element_type.name}, must be BOOL, UINT32 or INT32")
    if found.value.count < header.num_layers:
        raise header.error(key, f"{found.value.count} values for {header.num_layers} layers")
    return tuple(int(value) for value in found.value.numbers().tolist()[: header.num_layers])


def sliding(header: Header, row: Architecture) -> tuple[bool, ...] | None:
    """For each layer, whether it attends to a window only; None where the model has no windows."""
    prefix = f"{header.architecture}.attention.sliding_window"
    window = row.window or row.windowed.get(header.num_layers)
    if window is None or (window.optional and header.uint32(prefix, 0) == 0):
        return None
    pattern = header.metadata.get(f"{prefix}_pattern")
    if pattern is not None and isinstance(pattern.value, MetadataArray):
        flags = tuple(bool(flag) for flag in numbers(header, "attention.sliding_window_pattern"))
    elif window.period is None:
        raise header.error(f"{prefix}_pattern", "missing, or no array with a flag for each layer")
    else:
        flags = _periodic(header, header.uint32(f"{prefix}_pattern", window.period), window.dense_first)
    if not any(flags):  # libllama asserts
        raise header.error(f"{prefix}_pattern", "no layer uses the sliding window")
    if row.full and all(flags):
        raise header.error(f"{prefix}_pattern", "every layer uses the sliding window")
    return flags


def window_size(header: Header, row: Architecture) -> int:
    """Tokens of the windows that slices have set in their graph; 0 where libllama sees to windows itself."""
    window = row.windowed.get(header.num_layers)
    if window is None:
        return 0
    key = f"{header.architecture}.attention.sliding_window"
    size = header.uint32(key, window.size)
    if size == 0:
        raise header.error(key, "is 0, but layers slide")
    return size


def _periodic(header: Header, period: int, dense_first: bool) -> tuple[bool, ...]:
    if period == 0:
        return (True,) * header.num_layers
    full = 0 if dense_first else period - 1
    return tuple(layer % period != full for layer in range(header.num_layers))


def recurrent(header: Header, row: Architecture) -> tuple[bool, ...]:
    """For each layer, whether it keeps a running state."""
    if row.recurrent in ("", "all"):
        return (bool(row.recurrent),) * header.num_layers
    if row.recurrent == "list":
        return _listed_recurrent(header, row)
    heads = numbers(header, "attention.head_count", 0)
    without_heads = tuple(count == 0 for count in numbers(header, "attention.head_count_kv", heads[0]))
    if row.recurrent == "kv":
        return without_heads
    widths = numbers(header, "feed_forward_length", 0)
    return tuple(lacks and width == 0 for lacks, width in zip(without_heads, widths, strict=True))


def _listed_recurrent(header: Header, row: Architecture) -> tuple[bool, ...]:
    if f"{header.architecture}.attention.recurrent_layers" in header.metadata:
        return tuple(bool(flag) for flag in numbers(header, "attention.recurrent_layers"))
    interval = header.uint32(f"{header.architecture}.full_attention_interval", row.interval)
    if interval == 0:
        raise header.error(f"{header.architecture}.full_attention_interval", "is 0")
    return tuple((layer + 1) % interval != 0 for layer in range(header.num_layers))


def num_shared(header: Header, row: Architecture) -> int:
    """How many of the last layers use the keys and values of earlier ones.

    ModelFileError where there are no such layers: libllama asserts.
    """
    key = f"{header.architecture}.{row.shared or 'block_count'}"
    count = header.uint32(key, 0) if row.shared else 0
    if row.shared_from is not None:
        count = max(0, header.num_layers - row.shared_from)
    if count == 0:
        return 0
    if count > header.num_layers - 2 or header.num_nextn_layers:
        raise header.error(key, f"{count} of {header.num_layers} layers, must be 2 fewer, with none that predict more")
    slides = sliding(header, row)
    assert slides is not None
    kept = header.num_layers - count
    sources = {True: slides[kept - 2], False: not slides[kept - 1]}
    if not all(sources[slide] for slide in slides[kept:]):
        raise header.error(key, f"layers {kept - 2} and {kept - 1} are not of the kinds of those that use their keys")
    return count


def attends(header: Header, row: Architecture) -> tuple[bool, ...]:
    """For each layer, whether it keeps keys and values."""
    is_recurrent = recurrent(header, row)
    if shared := num_shared(header, row):
        return tuple(layer < header.num_layers - shared for layer in range(header.num_layers))
    if row.recurrent == "all":
        return (header.architecture not in _STATES_ONLY,) * header.num_layers
    if row.recurrent == "kv+ff":
        heads = numbers(header, "attention.head_count_kv", 0)
        widths = numbers(header, "feed_forward_length", 0)
        return tuple(count > 0 and width == 0 for count, width in zip(heads, widths, strict=True))
    return tuple(not flag for flag in is_recurrent)
