"""Cutting a model into slices [first, end) of its layers, as a pure function of its header.

A slice is a GGUF that unpatched libllama loads: its layers are renumbered from 0, and zeros that are never
computed (a hole in the file) stand in for what it does not own. Its role is in keys of our own:

    ggml_cluster.slice.first, .end, .num_layers, .vocab_size   uint32; the last two are the whole model's
    ggml_cluster.slice.model_hash                              string; cluster.gguf.model_hash of the source
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.errors import UnsupportedModelError, UsageError
from cluster.gguf.encode import aligned, encode_header
from cluster.gguf.header import Header, TensorInfo
from cluster.gguf.rules import GEMMA3_27B_LAYERS, OUTPUT, OUTPUT_NORM, TOKEN_EMBEDDING, Model, check, layer_of
from cluster.gguf.tensor_types import F16, F32, Q1_0, TensorType
from cluster.gguf.value import MetadataArray, MetadataValue, ValueType, string, uint32, uint32_array

# A slice that neither embeds nor has the head still needs a vocabulary of some size.
INNER_VOCAB_SIZE = 32

# Arrays of one value per layer that may stand in a file; those that these architectures read are checked
# in rules.py, the others are sliced so that no slice contradicts itself.
_PER_LAYER_KEYS = (
    "attention.head_count",
    "attention.head_count_kv",
    "feed_forward_length",
    "expert_used_count",
    "swiglu_clamp_exp",
    "swiglu_clamp_shexp",
)


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor of a slice file: `source_offset` is its first byte in the source file, None for zeros."""

    name: str
    shape: tuple[int, ...]
    type: TensorType
    size_bytes: int
    source_offset: int | None


@dataclass(frozen=True, slots=True)
class SlicePlan:
    """A slice file, described: `header_bytes`, then each tensor at the next multiple of 32 bytes."""

    first: int
    end: int
    num_layers: int
    metadata: dict[str, MetadataValue]
    tensors: tuple[PlannedTensor, ...]
    header_bytes: bytes
    file_bytes: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of real weights: what the file takes on disk, less its header."""
        return sum(info.size_bytes for info in self.tensors if info.source_offset is not None)


def legal_cuts(header: Header) -> tuple[int, ...]:
    """The layers in front of which the model may be cut: a cut at c gives [.., c) and [c, ..).

    UnsupportedModelError where the architecture is not known; empty where the model can only be served whole.
    """
    model = check(header)
    if _is_gemma3_27b(model, model.num_layers):
        return ()
    return tuple(range(1, model.num_layers))


def cut(header: Header, first: int, end: int, model_hash: str = "") -> SlicePlan:
    """The slice [first, end). UsageError for an impossible range, UnsupportedModelError if inexact."""
    model = check(header)
    num_layers = model.num_layers
    if not 0 <= first < end <= num_layers:
        raise UsageError(f"layers [{first}, {end}): the model has layers [0, {num_layers}); choose 0 <= first < end")
    if (first, end) != (0, num_layers):
        _check_gemma3_scale(model, end - first)
    tensors = tuple(_tensors(model, first, end))
    metadata = _metadata(model, first, end, model_hash)
    return _plan(first, end, num_layers, metadata, tensors)


def vocab_header(header: Header) -> SlicePlan:
    """All metadata and no tensors: what libllama needs for the tokenizer alone. Range [0, 0)."""
    metadata = {key: value for key, value in header.metadata.items() if not key.startswith("split.")}
    return _plan(0, 0, header.num_layers, metadata, ())


def _plan(
    first: int,
    end: int,
    num_layers: int,
    metadata: dict[str, MetadataValue],
    tensors: tuple[PlannedTensor, ...],
) -> SlicePlan:
    head = encode_header(metadata, tensors)
    file_bytes = len(head) + sum(aligned(info.size_bytes) for info in tensors)
    return SlicePlan(first, end, num_layers, metadata, tensors, head, file_bytes)


def _is_gemma3_27b(model: Model, num_layers: int) -> bool:
    return model.architecture == "gemma3" and num_layers == GEMMA3_27B_LAYERS


def _check_gemma3_scale(model: Model, num_slice_layers: int) -> None:
    """libllama takes the attention scale from the layer count: no slice may gain or lose the 27B's."""
    if _is_gemma3_27b(model, model.num_layers):
        advice = "serve it whole"
    elif _is_gemma3_27b(model, num_slice_layers):
        advice = "cut elsewhere"
    else:
        return
    raise UnsupportedModelError(
        f"{model.header.path}: architecture 'gemma3' cannot be cut here: libllama chooses another "
        f"attention scale for exactly {GEMMA3_27B_LAYERS} layers; {advice}"
    )


def _tensors(model: Model, first: int, end: int) -> Iterator[PlannedTensor]:
    """The tensors outside the layers, stand-ins for those that belong to other slices, then the layers."""
    is_first, is_last = first == 0, end == model.num_layers
    infos = {info.name: info for info in model.header.tensors}
    if is_first:
        yield _copy(model.header, infos[TOKEN_EMBEDDING])
    else:
        yield _stand_in(TOKEN_EMBEDDING, _slice_vocab_size(model, first, end), model.hidden_width)
    if is_last:
        yield from _head(model, infos, tied_to_own_embedding=is_first)
    else:
        yield PlannedTensor(OUTPUT_NORM, (model.hidden_width,), F32, F32.row_bytes(model.hidden_width), None)
    if is_first and not is_last:
        # Without this, libllama would take the embedding as the head, and copy it to where the head goes
        # (a GPU, or repacked weights).
        yield _stand_in(OUTPUT, model.vocab_size, model.hidden_width)
    for info in model.header.tensors:
        found = layer_of(info.name)
        if found is not None and first <= found[0] < end:
            yield _copy(model.header, info, f"blk.{found[0] - first}.{found[1]}")
        elif info.name in model.rules.everywhere:
            yield _copy(model.header, info)


def _head(model: Model, infos: dict[str, TensorInfo], tied_to_own_embedding: bool) -> Iterator[PlannedTensor]:
    for name, info in infos.items():
        if name in model.rules.last_only:
            yield _copy(model.header, info)
    if OUTPUT not in infos and not tied_to_own_embedding:
        # A tied head becomes a head of its own, so that the embedding here can be zeros.
        yield _copy(model.header, infos[TOKEN_EMBEDDING], OUTPUT)


def _copy(header: Header, info: TensorInfo, name: str | None = None) -> PlannedTensor:
    offset = header.data_start + info.offset
    return PlannedTensor(name or info.name, info.shape, info.type, info.size_bytes, offset)


def _stand_in(name: str, num_rows: int, width: int) -> PlannedTensor:
    """Zeros of the right shape in the smallest type: 1.125 bits a weight. libllama repacks neither type."""
    kind = Q1_0 if width % Q1_0.block_size == 0 else F16
    return PlannedTensor(name, (num_rows, width), kind, kind.row_bytes(num_rows * width), None)


def _slice_vocab_size(model: Model, first: int, end: int) -> int:
    """The true size for a slice that embeds or has the head: libllama checks their shapes against it."""
    return model.vocab_size if first == 0 or end == model.num_layers else INNER_VOCAB_SIZE


def _metadata(model: Model, first: int, end: int, model_hash: str) -> dict[str, MetadataValue]:
    if (first, end) == (0, model.num_layers):
        metadata = dict(model.header.metadata)
        metadata.pop("general.alignment", None)
    else:
        metadata = _slice_metadata(model, first, end)
    role = "ggml_cluster.slice"
    metadata[f"{role}.first"] = uint32(first)
    metadata[f"{role}.end"] = uint32(end)
    metadata[f"{role}.num_layers"] = uint32(model.num_layers)
    metadata[f"{role}.vocab_size"] = uint32(model.vocab_size)
    if model_hash:
        metadata[f"{role}.model_hash"] = string(model_hash)
    return metadata


def _slice_metadata(model: Model, first: int, end: int) -> dict[str, MetadataValue]:
    """The model's own keys for these layers, and no tokenizer: token ids are all that a slice sees."""
    kept = ("general.", f"{model.architecture}.")
    metadata = {key: value for key, value in model.header.metadata.items() if key.startswith(kept)}
    metadata.pop("general.alignment", None)
    for name in _PER_LAYER_KEYS:
        found = metadata.get(model.key(name))
        if found is not None and isinstance(found.value, MetadataArray) and found.value.count == model.num_layers:
            metadata[model.key(name)] = MetadataValue(ValueType.ARRAY, found.value.part(first, end))
    _set_sliding(model, metadata, first, end)
    metadata[model.key("block_count")] = uint32(end - first)
    metadata[model.key("vocab_size")] = uint32(_slice_vocab_size(model, first, end))
    metadata["tokenizer.ggml.model"] = string("none")
    return metadata


def _set_sliding(model: Model, metadata: dict[str, MetadataValue], first: int, end: int) -> None:
    """One flag per layer, so that a period need not start anew with the slice."""
    if model.sliding is None:
        return
    flags = tuple(int(slides) for slides in model.sliding[first:end])
    if any(flags):
        metadata[model.key("attention.sliding_window_pattern")] = uint32_array(flags)
    else:
        # libllama asserts that a model with a window has a layer that slides. Without the window it builds
        # the same attention as for a layer that does not slide.
        metadata.pop(model.key("attention.sliding_window"))
        metadata.pop(model.key("attention.sliding_window_pattern"), None)
