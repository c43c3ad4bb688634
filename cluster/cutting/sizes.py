"""What the parts of a model take: weights of each layer, embedding, head, and the memory of each layer."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.cutting import cache_sizes
from cluster.cutting.model import Model
from cluster.cutting.rules import OUTPUT, PARTS, TOKEN_EMBEDDING, layer_in, place_of
from cluster.cutting.two_stacks import is_of_encoder
from ggml.gguf.tensor_types import TensorType


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """Sizes in bytes. `kv_bytes[i]` is the memory of layer i for all slots."""

    layer_bytes: tuple[int, ...]
    kv_bytes: tuple[int, ...]
    embed_bytes: int  # with the encoder, where there is one beside the layers
    head_bytes: int  # final norm included; the embedding's size where it is tied to the head
    tied_head: bool


def model_sizes(model: Model, num_cells: int, type_k: TensorType, type_v: TensorType, num_slots: int = 0) -> ModelSizes:
    """Sum up a model.

    `num_cells` is context length times slots. With `num_slots`, each slot's cells are rounded up as libllama does,
    and what a slot keeps beside its cells (running states) is counted; with 0 neither is.
    """
    layers, encoder = [0] * model.num_layers, 0
    rest = {}
    for info in model.header.tensors:
        found = layer_in(info.name, model.row)
        if model.row.encodes_prompt and is_of_encoder(info.name):
            encoder += info.size_bytes
        elif found is None:
            rest[info.name] = info.size_bytes
        elif found[0] < len(layers):
            layers[found[0]] += info.size_bytes
    if model.part_width:
        parts = sum(size_bytes for name, size_bytes in rest.items() if place_of(name, model.row) == PARTS)
        rest = {name: size_bytes for name, size_bytes in rest.items() if place_of(name, model.row) != PARTS}
        layers = [size_bytes + parts // len(layers) for size_bytes in layers]
    tied = OUTPUT not in rest
    embed = rest.pop(TOKEN_EMBEDDING)
    return ModelSizes(
        layer_bytes=tuple(layers),
        kv_bytes=cache_sizes.layer_cache_bytes(model, num_cells, type_k, type_v, num_slots),
        embed_bytes=embed + encoder,
        head_bytes=sum(rest.values()) + (embed if tied else 0),
        tied_head=tied and not encoder,
    )


def trained_context(model: Model) -> int:
    """Tokens of context the model was trained for. ModelFileError where it does not say."""
    return model.header.uint32(model.key("context_length"))
