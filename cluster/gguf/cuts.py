"""Where a model may be cut, as data: each place between two layers, and why not where it may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import lcm

from cluster.gguf import per_layer
from cluster.gguf.header import Header
from cluster.gguf.rules import Model, check
from cluster.gguf.slice_layers import needed_kinds, owns_indexer


@dataclass(frozen=True, slots=True)
class CutPlace:
    """The place in front of `layer`; `refusal` is empty where the model may be cut."""

    layer: int
    refusal: str


def cut_places(header: Header) -> tuple[CutPlace, ...]:
    """All places between two layers. UnsupportedModelError, ModelFileError: as `rules.check`."""
    return places_of(check(header))


def legal_cuts(header: Header) -> tuple[int, ...]:
    """The layers in front of which the model may be cut, any of them together: a cut at c gives [.., c) and [c, ..).

    UnsupportedModelError where the architecture cannot be cut; empty where this model can only be served whole.
    """
    return tuple(place.layer for place in cut_places(header) if not place.refusal)


def places_of(model: Model) -> tuple[CutPlace, ...]:
    reasons = {layer: _refusal_at(model, layer) for layer in range(1, model.num_layers)}
    step = _step(model, [layer for layer, reason in reasons.items() if not reason])
    for layer, reason in reasons.items():
        if not reason and (step is None or layer % step):
            reasons[layer] = _count_refusal(model, step)
    return tuple(CutPlace(layer, reason) for layer, reason in reasons.items())


def _refusal_at(model: Model, layer: int) -> str:
    """Why the model cannot be cut in front of `layer`, whatever its other cuts."""
    if model.row.whole:
        return model.row.whole
    for name, (is_so, why) in model.row.whole_if.items():
        if model.key(name) in model.header.metadata and is_so(model.header.uint32(model.key(name))):
            return f"{why} ({model.key(name)} is {model.header.uint32(model.key(name))})"
    period = _period(model)
    if layer % period:
        return f"its layers repeat every {period}, counted from the beginning of a slice"
    if not _keeps_head_count(model, layer):
        return f"layer {layer} has no attention heads, and libllama takes the width of all from the first layer"
    num_dense = model.header.uint32(model.key("leading_dense_block_count"), 0)
    if any(True not in kind[num_dense:] for kind in needed_kinds(model)) and num_dense < model.num_layers:
        return "only its leading dense layers are of a kind that every slice needs"
    return next(_indexer_refusals(model, layer), "")


def _period(model: Model) -> int:
    if not model.row.period_key:
        return model.row.period
    return lcm(model.row.period, max(model.header.uint32(model.key(model.row.period_key), 1), 1))


def _keeps_head_count(model: Model, layer: int) -> bool:
    """Layers with a running state need no heads of their own, so that theirs can be written anew."""
    counts = per_layer.numbers(model.header, "attention.head_count", 0)
    return model.recurrent[layer] or (counts[layer] > 0) == (counts[0] > 0)


def _indexer_refusals(model: Model, layer: int) -> Iterator[str]:
    owns = owns_indexer(model)
    for later in range(layer, model.num_layers):
        if model.attends[later]:
            if not owns[later]:
                yield f"layer {later} uses the indexer of a layer before it"
            return


def _special(model: Model) -> frozenset[int]:
    """The numbers of layers that no slice may have, because libllama would take another graph for it."""
    if model.architecture in ("deepseek2", "mistral4"):
        # The lite models: 26 or 27 layers, or 48 of a certain vocabulary. They have no rank of queries.
        has_rank = model.header.uint32(model.key("attention.q_lora_rank"), 0) > 0
        return frozenset({26, 27, 48}) if has_rank else frozenset()
    return model.row.counts


def _is_special_itself(model: Model) -> bool:
    at_least = model.row.at_least
    return model.num_layers in model.row.counts or (at_least is not None and model.num_layers >= at_least)


def _step(model: Model, layers: list[int]) -> int | None:
    """The smallest step at which no slice between any two of the places has a special number of layers."""
    special = _special(model)
    if _is_special_itself(model):
        return None
    for step in range(1, model.num_layers + 1):
        ends = [0, *(layer for layer in layers if layer % step == 0), model.num_layers]
        lengths = {end - first for first, end in combinations(ends, 2)} - {model.num_layers}
        if not lengths & special:
            return step
    raise AssertionError("the largest step leaves no place")


def _count_refusal(model: Model, step: int | None) -> str:
    if step is None:
        return f"libllama computes {model.num_layers} layers of this architecture in a way of their own"
    counts = " or ".join(str(count) for count in sorted(_special(model)))
    return f"a slice could have {counts} layers, which libllama computes in another way; at multiples of {step} none can"
