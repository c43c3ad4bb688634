"""Cutting a model into slices [first, end) of its layers, as a pure function of the checked model.

A slice is a GGUF that unpatched libllama loads: its layers are renumbered from 0, and zeros that are never
computed, or whose result is written over (a hole in the file), stand in for what it does not own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from cluster.api.errors import UnsupportedModelError, UsageError
from cluster.cutting.header import Header
from cluster.cutting.keys import ngram_layers, slice_keys, slice_vocab_size
from cluster.cutting.layer_parts import PRODUCT
from cluster.cutting.layers import SliceLayer, num_in_front, slice_layers
from cluster.cutting.model import Model
from cluster.cutting.planned import PlannedTensor, copied, small_zeros, stand_in, zero_vector, zeros
from cluster.cutting.rounding import layer_zeros, outer_zeros
from cluster.cutting.rules import (
    EVERYWHERE,
    FIRST,
    LAST,
    NGRAM,
    OUTPUT,
    OUTPUT_BIAS,
    PARTS,
    TOKEN_EMBEDDING,
    layer_in,
    layer_of,
    place_of,
)
from cluster.cutting.stand_ins import are_narrow, small_tensors
from cluster.cutting.two_stacks import layer_tensors
from ggml.gguf.encode import aligned, encode_header
from ggml.gguf.header import TensorInfo
from ggml.gguf.value import MetadataValue


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


def cut(model: Model, first: int, end: int, model_hash: str = "") -> SlicePlan:
    """The slice [first, end). UsageError for an impossible range, UnsupportedModelError where it cannot be.

    Whether a slice may round otherwise than the model is for those to ask who choose its place: see `legal_cuts`.
    """
    num_layers = model.num_layers
    if not 0 <= first < end <= num_layers:
        raise UsageError(f"layers [{first}, {end}): the model has layers [0, {num_layers}); choose 0 <= first < end")
    _check_places(model, first, end)
    layers = slice_layers(model, first, end)
    metadata = slice_keys(model, first, end, layers, model_hash)
    return plan_file(first, end, num_layers, metadata, tuple(_tensors(model, first, end, layers)))


def header_alone(header: Header, num_layers: int) -> SlicePlan:
    """All metadata and no tensors: what libllama needs for the tokenizer alone. Range [0, 0)."""
    metadata = {key: value for key, value in header.metadata.items() if not key.startswith("split.")}
    return plan_file(0, 0, num_layers, metadata, ())


def plan_file(
    first: int,
    end: int,
    num_layers: int,
    metadata: dict[str, MetadataValue],
    tensors: tuple[PlannedTensor, ...],
) -> SlicePlan:
    """The file with these keys and tensors."""
    head = encode_header(metadata, tensors)
    file_bytes = len(head) + sum(aligned(info.size_bytes) for info in tensors)
    return SlicePlan(first, end, num_layers, metadata, tensors, head, file_bytes)


def _check_places(model: Model, first: int, end: int) -> None:
    for place in model.places:
        if place.layer in (first, end) and place.refusal:
            raise UnsupportedModelError(
                f"{model.header.path}: architecture {model.architecture!a} cannot be cut in front of layer "
                f"{place.layer}: {place.refusal}; see: cluster cuts MODEL"
            )


def _tensors(model: Model, first: int, end: int, layers: tuple[SliceLayer, ...]) -> Iterator[PlannedTensor]:
    """The tensors outside the layers, stand-ins for those that belong to other slices, then the layers."""
    is_whole = (first, end) == (0, model.num_layers)
    in_layer = layer_of if is_whole else partial(layer_in, row=model.row)
    outside = {info.name: info for info in model.header.tensors if in_layer(info.name) is None}
    for info in outside.values():
        yield from _outside(model, info, first, end, layers)
    yield from _head_stand_ins(model, outside, first, end)
    if not is_whole:
        yield from (zero_vector(name, model.hidden_width) for name in outer_zeros(model))
    if model.row.encodes_prompt and not is_whole:
        yield from layer_tensors(model, first, end)
        return
    inside: dict[int, list[tuple[str, TensorInfo]]] = {}
    for info in model.header.tensors:
        if found := layer_of(info.name):
            inside.setdefault(found[0], []).append((found[1], info))
    unread = () if is_whole else model.row.unread
    for number, layer in enumerate(layers):
        if model.has_small_zeros and layer.is_stand_in:
            narrow = number < first and are_narrow(model, first)
            for suffix, shape, kind in small_tensors(model, inside[layer.source], narrow):
                yield small_zeros(f"blk.{number}.{suffix}", shape, kind)
            continue
        if not is_whole:
            yield from (zero_vector(name, model.hidden_width) for name in layer_zeros(model, number))
        for suffix, info in inside.get(layer.source, ()):
            if suffix in unread:
                continue
            name = f"blk.{number}.{suffix}"
            yield zeros(info, name) if layer.is_stand_in else copied(model.header, info, name)


def _outside(
    model: Model, info: TensorInfo, first: int, end: int, layers: tuple[SliceLayer, ...]
) -> Iterator[PlannedTensor]:
    place = place_of(info.name, model.row)
    is_first, is_last = first == 0, end == model.num_layers
    is_own = (
        (is_first and is_last) or place == EVERYWHERE or (place == FIRST and is_first) or (place == LAST and is_last)
    )
    if place == PARTS and not is_own:
        yield _parts(model, info, first, layers)
    elif place == NGRAM and not is_own:
        yield from _ngram_table(model, info, layers)
    elif is_own or (info.name == TOKEN_EMBEDDING and is_last and model.is_tied):
        yield copied(model.header, info)
    elif info.name in (TOKEN_EMBEDDING, OUTPUT):
        yield stand_in(info.name, slice_vocab_size(model, first, end), model.hidden_width)
    elif info.name == OUTPUT_BIAS:
        yield small_zeros(info.name, (slice_vocab_size(model, first, end),), info.type)
    else:
        yield zeros(info)


def _parts(model: Model, info: TensorInfo, first: int, layers: tuple[SliceLayer, ...]) -> PlannedTensor:
    """Of what has a part for each layer, those of as many as the file has.

    Stand-ins have those of the layers next to the slice, whatever they stand in for: so it is one range.
    """
    begin, source = first - num_in_front(layers), model.header.data_start + info.offset
    if info.name.partition(".")[0] == PRODUCT:
        row_bytes = info.type.row_bytes(info.shape[1])
        num_rows = len(layers) * model.part_width
        offset = source + begin * model.part_width * row_bytes
        return PlannedTensor(info.name, (num_rows, info.shape[1]), info.type, num_rows * row_bytes, offset)
    width, part_bytes = len(layers) * model.part_width, info.type.row_bytes(model.part_width)
    size_bytes = info.shape[0] * len(layers) * part_bytes
    row_bytes = info.type.row_bytes(info.shape[1])
    return PlannedTensor(
        info.name, (info.shape[0], width), info.type, size_bytes, source + begin * part_bytes, row_bytes
    )


def _ngram_table(model: Model, info: TensorInfo, layers: tuple[SliceLayer, ...]) -> Iterator[PlannedTensor]:
    """Only where a layer reads it: elsewhere libllama would not expect it."""
    readers = [layer for layer in layers if layer.source in ngram_layers(model)]
    if readers:
        yield zeros(info) if all(layer.is_stand_in for layer in readers) else copied(model.header, info)


def _head_stand_ins(model: Model, outside: dict[str, TensorInfo], first: int, end: int) -> Iterator[PlannedTensor]:
    """A head of its own where the model's is its embedding, so that neither end needs both."""
    is_first, is_last = first == 0, end == model.num_layers
    if OUTPUT in outside or model.is_tied or (is_first and is_last):
        return
    if is_last:
        yield copied(model.header, outside[TOKEN_EMBEDDING], OUTPUT)
    else:
        # Without this, libllama would take the embedding as the head, and copy it to where the head goes
        # (a GPU, or repacked weights).
        yield stand_in(OUTPUT, slice_vocab_size(model, first, end), model.hidden_width)
