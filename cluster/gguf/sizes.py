"""What the parts of a model take: weights of each layer, embedding, head, and KV per layer."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.gguf.header import Header
from cluster.gguf.rules import OUTPUT, TOKEN_EMBEDDING, layer_of
from cluster.gguf.tensor_types import TensorType
from cluster.gguf.value import MetadataArray, ValueType


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Sizes in bytes. `kv_bytes[i]` holds all cells of layer i."""

    layer_bytes: tuple[int, ...]
    kv_bytes: tuple[int, ...]
    embed_bytes: int
    head_bytes: int  # final norm included; the embedding's size where it is tied to the head
    tied_head: bool


def model_sizes(header: Header, num_cells: int, type_k: TensorType, type_v: TensorType) -> ModelSizes:
    """Sum up a checked model (see `rules.check`).

    `num_cells` is context length times slots. KV is what full attention takes: key and value rows of every
    cell, each head_count_kv heads wide; libllama keeps less for sliding windows where it can.
    """
    layers = [0] * header.num_layers
    rest = {}
    for info in header.tensors:
        found = layer_of(info.name)
        if found is None:
            rest[info.name] = info.size_bytes
        else:
            layers[found[0]] += info.size_bytes
    tied = OUTPUT not in rest
    embed = rest.pop(TOKEN_EMBEDDING)
    width_k, width_v = _kv_widths(header)
    cell_bytes = _row_bytes(type_k, width_k) + _row_bytes(type_v, width_v)
    return ModelSizes(
        layer_bytes=tuple(layers),
        kv_bytes=(num_cells * cell_bytes,) * len(layers),
        embed_bytes=embed,
        head_bytes=sum(rest.values()) + (embed if tied else 0),
        tied_head=tied,
    )


def trained_context(header: Header) -> int:
    """Tokens of context the model was trained for."""
    return header.uint32(f"{header.architecture}.context_length")


def _kv_widths(header: Header) -> tuple[int, int]:
    """Elements of a key row and of a value row, as libllama derives them."""
    prefix = f"{header.architecture}.attention"
    num_heads = _first(header, f"{prefix}.head_count", 1)
    num_heads_kv = _first(header, f"{prefix}.head_count_kv", num_heads)
    head_width = header.hidden_width // max(num_heads, 1)
    width_k = header.uint32(f"{prefix}.key_length", head_width)
    width_v = header.uint32(f"{prefix}.value_length", head_width)
    return num_heads_kv * width_k, num_heads_kv * width_v


def _first(header: Header, key: str, default: int) -> int:
    """A number, or the first of an array of equal numbers (`rules.check` makes sure of that)."""
    found = header.metadata.get(key)
    if found is not None and isinstance(found.value, MetadataArray):
        return int(found.value.numbers()[0])
    value = header.get(key, ValueType.UINT32)
    return default if value is None else int(str(value))


def _row_bytes(kind: TensorType, num_elements: int) -> int:
    return -(-num_elements // kind.block_size) * kind.block_bytes
