"""Where a model may be cut, as data: each place between two layers, and why not where it may not."""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm

from cluster.cutting import layer_parts, per_layer
from cluster.cutting.layers import LEADING_KEYS, is_special, needed_kinds, owns_indexer
from cluster.cutting.limits import MAX_ROW_WIDTH
from cluster.cutting.model import CutPlace, Model
from ggml.gguf.value import MetadataArray, ValueType


def legal_cuts(model: Model, allow_rounding: bool = False) -> tuple[int, ...]:
    """The layers in front of which the model may be cut, any of them together: a cut at c gives [.., c) and [c, ..).

    Empty where this model can only be served whole. `allow_rounding`: also where slices round otherwise than the model.
    """
    return tuple(place.layer for place in model.places if not place.refusal_unless(allow_rounding))


def find_places(model: Model) -> tuple[CutPlace, ...]:
    """What `rules.check` puts into `Model.places`. ModelFileError where a key that decides has no sound value."""
    how = model.rounded.how if model.rounded is not None else ""
    return tuple(CutPlace(layer, _refusal_at(model, layer), how) for layer in range(1, model.num_layers))


def _refusal_at(model: Model, layer: int) -> str:
    """Why the model cannot be cut in front of `layer`, whatever its other cuts; empty if it can."""
    if model.row.whole:
        return model.row.whole
    if model.row.encodes_prompt and model.arrays:
        return f"its layers differ by {', '.join(model.arrays)}"
    for name, (is_so, why) in model.row.whole_if.items():
        if model.key(name) in model.header.metadata and is_so(model.header.uint32(model.key(name))):
            return f"{why} ({model.key(name)} is {model.header.uint32(model.key(name))})"
    if is_special(model, model.num_layers) and not model.window_size:
        return f"libllama computes {model.num_layers} layers of this architecture in another way than fewer"
    if is_special(model, model.num_layers - layer):
        return f"libllama computes {model.num_layers - layer} layers of this architecture in a way of their own"
    if model.row_width > MAX_ROW_WIDTH:
        return f"{model.row_width} floats would go from slice to slice for each token, at most {MAX_ROW_WIDTH} may"
    if refusal := _sharing_refusal(model, layer) or layer_parts.refusal(model):
        return refusal
    period = _period(model)
    if layer % period:
        return f"its layers repeat every {period}, counted from the beginning of a slice"
    if not _keeps_head_count(model, layer):
        return f"layer {layer} has no attention heads, and libllama takes the width of all from the first layer"
    for name in () if model.keeps_numbers else LEADING_KEYS:
        count = model.header.uint32(model.key(name), 0)
        if count < model.num_layers and any(True not in kind[count:] for kind in needed_kinds(model)):
            return f"only the first {count} layers ({model.key(name)}) are of a kind that every slice needs"
    if _adds_embedding(model):
        return f"a layer behind the first adds the embedding itself ({model.key('deepstack_mapping')} is 0 there)"
    return next(_indexer_refusals(model, layer), "")


def _sharing_refusal(model: Model, layer: int) -> str:
    """Layers that use the keys and values of others are in one slice with them."""
    kept = model.num_layers - model.num_shared
    if kept == model.num_layers:
        return ""
    assert model.sliding is not None
    first = kept - 2 if any(model.sliding[kept:]) else kept - 1
    if layer <= first:
        return ""
    return f"layers from {kept} on use the keys and values of layers from {first} on"


def _period(model: Model) -> int:
    if not model.row.period_key:
        return model.row.period
    return lcm(model.row.period, max(model.header.uint32(model.key(model.row.period_key), 1), 1))


def _keeps_head_count(model: Model, layer: int) -> bool:
    """Layers with a running state need no heads of their own, so that theirs can be written anew."""
    counts = per_layer.numbers(model.header, "attention.head_count", 0)
    return model.recurrent[layer] or (counts[layer] > 0) == (counts[0] > 0)


def _adds_embedding(model: Model) -> bool:
    """Streams of an image are added to later layers; for text they are zeros, all but the first, the embedding."""
    found = model.header.metadata.get(model.key("deepstack_mapping"))
    if found is None or not isinstance(found.value, MetadataArray) or found.value.element_type is ValueType.STRING:
        return False
    return 0 in found.value.numbers().tolist()[1 : model.num_layers]


def _indexer_refusals(model: Model, layer: int) -> Iterator[str]:
    owns = owns_indexer(model)
    for later in range(layer, model.num_layers):
        if model.attends[later]:
            if not owns[later]:
                yield f"layer {later} uses the indexer of a layer before it"
            return
