"""Which layers a slice file holds: its own, and a stand-in where libllama asserts that a kind of layer is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.cutting import per_layer
from cluster.cutting.model import Model

# Keys that count layers of a kind from the beginning of the model.
LEADING_KEYS = ("leading_dense_block_count", "hash_layer_count")

# From this context length on, libllama has a list of its own for models that bring none.
_LATER_GLM_CONTEXT = 1 << 20
# The lite models of deepseek2 have so many layers, and no rank of queries; 48 with this vocabulary only.
_LITE_DEEPSEEK_COUNTS = frozenset({26, 27})
_LITE_DEEPSEEK_48_VOCAB_SIZE = 128256


@dataclass(frozen=True, slots=True)
class SliceLayer:
    """Layer `source` of the model, or zeros of its shape that leave no trace (`is_stand_in`)."""

    source: int
    is_stand_in: bool = False


def slice_layers(model: Model, first: int, end: int) -> tuple[SliceLayer, ...]:
    """The layers of the slice [first, end) in the order of its file, in a number that is no special one.

    Stand-ins come behind the slice's own layers, where the graph is stopped before it reaches them. The last slice
    has them in front, where they are computed in vain: hidden rows enter behind them.

    Where layers read what blocks in front of the slice left, or do as their numbers say, there is a stand-in for each
    layer in front; what the blocks of these leave is written over with what comes along with the rows. Where all read
    something of the model's first layer, there is a stand-in for that one, whose part of it is written over likewise.
    """
    own = tuple(SliceLayer(layer) for layer in range(first, end))
    if model.row.hands_on_first and first > 0:
        return (SliceLayer(0, True), *own)
    if model.keeps_numbers:
        before = tuple(SliceLayer(layer, True) for layer in range(first))
        return before + own + tuple(SliceLayer(layer, True) for layer in _missing(model, 0, end))
    stand_ins = tuple(SliceLayer(layer, True) for layer in _missing(model, first, end))
    if end == model.num_layers:
        return stand_ins + own
    layers = own + stand_ins
    while is_special(model, len(layers)):
        layers += (SliceLayer(end, True),)
    return layers


def is_special(model: Model, num_layers: int) -> bool:
    """Whether libllama takes another graph for this number of layers in a slice."""
    if model.slice_architecture != model.architecture:
        return False  # there the number changes nothing
    row, counts = model.row, model.row.counts
    if model.architecture in ("deepseek2", "mistral4") and model.header.uint32(model.key("attention.q_lora_rank"), 0):
        counts = _LITE_DEEPSEEK_COUNTS
        if model.vocab_size == _LITE_DEEPSEEK_48_VOCAB_SIZE:
            counts |= {48}
    return num_layers in counts or (row.at_least is not None and num_layers >= row.at_least)


def num_in_front(layers: Sequence[SliceLayer]) -> int:
    """How many stand-ins the slice's own layers follow."""
    return next(index for index, layer in enumerate(layers) if not layer.is_stand_in)


def num_leading(layers: Sequence[SliceLayer], count: int) -> int:
    """How many of `layers` are among the first `count` of the model; `cuts` sees to it that they come first."""
    flags = [layer.source < count for layer in layers]
    assert True not in flags[sum(flags) :]
    return sum(flags)


def needed_kinds(model: Model) -> list[tuple[bool, ...]]:
    """For each kind of layer that every slice needs, whether each layer of the model is of it.

    libllama keeps a memory for each kind, and asserts that each is used.
    """
    row, kinds = model.row, []
    if row.recurrent not in ("", "all"):
        kinds += [model.recurrent, _all(model.attends, owns_indexer(model))]
    if model.sliding is not None and row.window is not None and not row.window.optional:
        kinds.append(model.sliding)
    if model.sliding is not None and row.full:
        kinds.append(tuple(not slides for slides in model.sliding))
    if row.sparse:
        num_dense = model.header.uint32(model.key("leading_dense_block_count"), 0)
        kinds.append(tuple(layer >= num_dense for layer in range(model.num_layers)))
    for ratio in row.ratios:
        ratios = per_layer.numbers(model.header, "attention.compress_ratios", 0)
        kinds.append(tuple(own == ratio for own in ratios))
    return [kind for kind in kinds if any(kind)]


def owns_indexer(model: Model) -> tuple[bool, ...]:
    """For each layer, whether it needs no indexer of another."""
    if model.row.indexer is None:
        return (True,) * model.num_layers
    default = model.row.indexer
    if model.architecture == "glm-dsa" and model.header.uint32(model.key("context_length"), 0) < _LATER_GLM_CONTEXT:
        default = 1
    return tuple(bool(flag) for flag in per_layer.numbers(model.header, "attention.indexer.types", default))


def _all(one: Sequence[bool], other: Sequence[bool]) -> tuple[bool, ...]:
    return tuple(a and b for a, b in zip(one, other, strict=True))


def _missing(model: Model, first: int, end: int) -> Iterator[int]:
    """A layer of each kind that the slice needs and has not: the last, because the first ones may be dense."""
    for kind in needed_kinds(model):
        if not any(kind[first:end]):
            kept = kind[: model.num_layers - model.num_shared]  # the others may have no keys and values
            yield max(layer for layer, flag in enumerate(kept) if flag)
