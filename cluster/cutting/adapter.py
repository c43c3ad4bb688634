"""LoRA adapters: what a file must be to fit a model, and the part of it that belongs to a slice.

libllama takes shapes on trust and asserts what it finds wrong while it computes, so everything is checked here. What
it requires was read in its llama-adapter.cpp and llama-graph.cpp (as packaged in llama-cpp-python 0.3.36).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.api.errors import UsageError
from cluster.cutting.cut import cut
from cluster.cutting.header import Header
from cluster.cutting.model import Model
from cluster.cutting.planned import PlannedTensor
from cluster.cutting.rules import OUTPUT, PARTS, TOKEN_EMBEDDING, layer_of, place_of
from ggml.gguf.encode import aligned, encode_header
from ggml.gguf.header import TensorInfo
from ggml.gguf.value import ValueType, float32, string

_TYPES = ("F32", "F16", "BF16", "Q8_0")  # that converters write
_ALPHA = "adapter.lora.alpha"
# What it sums up for each text from a certain token on only, which requests cannot ask for here.
_INVOCATION = "adapter.alora.invocation_tokens"


@dataclass(frozen=True, slots=True)
class Pair:
    """What is added to the product of one of the model's matrices, W: (out, in).

    `a`: (rank, in) and `b`: (out, rank); of experts, both with their number in front. Of an embedding (tokens, width),
    which is looked up, `a` is (tokens, rank) and `b` (width, rank).
    """

    a: TensorInfo
    b: TensorInfo


@dataclass(frozen=True, slots=True)
class Adapter:
    """A checked file: `pairs` by the names of the model's tensors; `alpha` / rank scales them, unless it is 0."""

    header: Header
    alpha: float
    pairs: Mapping[str, Pair]


@dataclass(frozen=True, slots=True)
class AdapterPlan:
    """The GGUF for one slice, described: `header_bytes`, then each tensor at the next multiple of 32 bytes."""

    tensors: tuple[PlannedTensor, ...]
    header_bytes: bytes

    @property
    def file_bytes(self) -> int:
        """Its size; 0 where there is nothing for the slice."""
        sizes = [aligned(tensor.size_bytes) for tensor in self.tensors]
        return len(self.header_bytes) + sum(sizes) if sizes else 0


def check_adapter(header: Header, model: Model) -> Adapter:
    """UsageError, which names the file and what is wrong with it, where it is no adapter for `model`."""
    _expect(header, "general.type", "adapter", "this is no adapter; leave it out, or convert it")
    _expect(header, "adapter.type", "lora", "other kinds are not served; leave it out")
    _expect(header, "general.architecture", model.architecture, "it was made for another model; give one for this")
    if _INVOCATION in header.metadata:
        raise _refusal(header, f"{_INVOCATION}: adapters that a text turns on are not served; leave it out")
    alpha = header.get(_ALPHA, ValueType.FLOAT32)
    alpha = alpha if isinstance(alpha, float) else 0.0
    if not math.isfinite(alpha):
        raise _refusal(header, f"{_ALPHA}: {alpha} is no finite number; convert it again")
    whole = {info.name: info for info in model.header.tensors}
    found = {info.name: info for info in header.tensors}
    # Norms that were trained along are left out, as libllama does.
    names = {_base_of(header, name): None for name in found if not name.endswith("_norm.weight")}
    if not names:
        raise _refusal(header, "it holds no matrices; convert it again")
    pairs = {}
    for name in names:
        a, b = found.get(f"{name}.lora_a"), found.get(f"{name}.lora_b")
        if a is None or b is None:
            raise _refusal(header, f"tensor {name!a}: only one of lora_a and lora_b is there; convert it again")
        pairs[name] = Pair(a, b)
        _check_pair(header, model, whole.get(name), name, pairs[name])
    return Adapter(header, alpha, pairs)


def adapter_part(adapter: Adapter, model: Model, first: int, end: int) -> AdapterPlan:
    """What belongs to the tensors of the slice [first, end), under the names that they have there.

    UsageError where it would shift the numbers by which the slice's graph is read.
    """
    _check_unshifted(adapter, model, first, end)
    tensors = tuple(_part(adapter, model, first, end))
    is_whole = (first, end) == (0, model.num_layers)
    metadata = {
        "general.type": string("adapter"),
        "general.architecture": string(model.architecture if is_whole else model.slice_architecture),
        "adapter.type": string("lora"),
        _ALPHA: float32(adapter.alpha),
    }
    return AdapterPlan(tensors, encode_header(metadata, tensors))


def _check_unshifted(adapter: Adapter, model: Model, first: int, end: int) -> None:
    """What the first layer leaves for all has no name but its number in the graph, where an adapter adds operations."""
    if not model.row.hands_on_first or first > 0 or end == model.num_layers:
        return
    for name in adapter.pairs:
        layer = layer_of(name)
        if name == TOKEN_EMBEDDING or (layer is not None and layer[0] == 0):
            raise _refusal(
                adapter.header,
                f"tensor {name!a}: cannot be added to the first layer of a model that is cut; leave it out, or serve "
                "the model whole (--stages 1)",
            )


def layer_bytes_of(adapter: Adapter, num_layers: int) -> list[int]:
    """What its tensors of each layer take."""
    sizes = [0] * num_layers
    for name, pair in adapter.pairs.items():
        layer = layer_of(name)
        if layer is not None and layer[0] < num_layers:
            sizes[layer[0]] += pair.a.size_bytes + pair.b.size_bytes
    return sizes


def _part(adapter: Adapter, model: Model, first: int, end: int) -> Iterator[PlannedTensor]:
    for source, name in _own_names(model, first, end):
        if pair := adapter.pairs.get(source):
            for info, suffix in ((pair.a, "lora_a"), (pair.b, "lora_b")):
                offset = adapter.header.data_start + info.offset
                yield PlannedTensor(f"{name}.{suffix}", info.shape, info.type, info.size_bytes, offset)


def _own_names(model: Model, first: int, end: int) -> Iterator[tuple[str, str]]:
    """Each tensor of the model that the slice computes with, and its name there."""
    header = model.header
    if (first, end) == (0, model.num_layers):  # served from the model's own file
        for info in header.tensors:
            layer = layer_of(info.name)
            if layer is None or layer[0] < model.num_layers:
                yield info.name, info.name
        return
    names = {header.data_start + info.offset: info.name for info in header.tensors}
    for planned in cut(model, first, end).tensors:
        # Of parts of one embedding libllama looks up and multiplies without what adapters add, in the whole model too.
        if planned.source_offset is not None and place_of(planned.name, model.row) != PARTS:
            yield names[planned.source_offset], planned.name


def _base_of(header: Header, name: str) -> str:
    base, _, suffix = name.rpartition(".")
    if suffix not in ("lora_a", "lora_b"):
        raise _refusal(header, f"tensor {name!a}: its name ends in neither .lora_a nor .lora_b; convert it again")
    return base


def _check_pair(header: Header, model: Model, of: TensorInfo | None, name: str, pair: Pair) -> None:
    field = f"tensor {name!a}"
    if of is None:
        raise _refusal(header, f"{field}: the model has no such tensor; give an adapter that was made for it")
    if name == TOKEN_EMBEDDING and _is_head(model):
        raise _refusal(header, f"{field}: is the model's head, too, where this cannot be added; train it without")
    if of.type.name == "NVFP4":
        raise _refusal(header, f"{field}: libllama adds nothing to NVFP4; take the model in another type")
    for info in (pair.a, pair.b):
        if info.type.name not in _TYPES:
            raise _refusal(header, f"{field}: has type {info.type.name}; convert it to one of {', '.join(_TYPES)}")
    a, b = pair.a.shape, pair.b.shape
    # libllama takes all tables of this ending for such that are looked up.
    is_table = name.endswith(TOKEN_EMBEDDING)
    rank = a[-1] if is_table else a[-2] if len(a) > 1 else 0
    expected = _shapes(of.shape, rank, is_table)
    if expected != (a, b):
        raise _refusal(
            header, f"{field}: shapes {a} and {b} do not fit the model's {of.shape}; give one that was made for it"
        )


def _shapes(of: tuple[int, ...], rank: int, is_table: bool) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Of a and b; None where the model's tensor is no matrix, nor one for each expert."""
    if len(of) not in (2, 3) or (is_table and len(of) != 2):
        return None
    *experts, num_out, num_in = of
    if is_table:
        return (num_out, rank), (num_in, rank)
    return (*experts, rank, num_in), (*experts, num_out, rank)


def _is_head(model: Model) -> bool:
    """Whether the embedding is multiplied with, beside being looked up."""
    has_head = any(info.name == OUTPUT for info in model.header.tensors)
    return model.row.tied or not (has_head or model.row.is_encoder)


def _expect(header: Header, key: str, wanted: str, why: str) -> None:
    found = header.get(key, ValueType.STRING)
    if found != wanted:
        told = "is missing" if found is None else f"is {found!a}"
        raise _refusal(header, f"{key} {told}, must be {wanted!a}: {why}")


def _refusal(header: Header, why: str) -> UsageError:
    return UsageError(f"lora: {header.path}: {why}")
