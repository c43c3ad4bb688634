"""Which layers a slice file holds: its own, and a stand-in where libllama asserts that a kind of layer is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.errors import UnsupportedModelError
from cluster.gguf.rules import Model


@dataclass(frozen=True, slots=True)
class SliceLayer:
    """Layer `source` of the model, or zeros of its shape that leave no trace (`is_stand_in`)."""

    source: int
    is_stand_in: bool = False


def slice_layers(model: Model, first: int, end: int) -> tuple[SliceLayer, ...]:
    """The layers of the slice [first, end) in the order of its file.

    Stand-ins come behind the slice's own layers, where the graph is stopped before it reaches them. The last slice
    has them in front, where they are computed in vain: hidden rows enter behind them.
    """
    own = tuple(SliceLayer(layer) for layer in range(first, end))
    stand_ins = tuple(SliceLayer(layer, True) for layer in _missing(model, first, end))
    if end < model.num_layers:
        return own + stand_ins
    return stand_ins + own


def num_in_front(layers: Sequence[SliceLayer]) -> int:
    """How many stand-ins the slice's own layers follow."""
    return next(index for index, layer in enumerate(layers) if not layer.is_stand_in)


def leading_dense(model: Model, layers: Sequence[SliceLayer], count: int) -> int:
    """How many of `layers` are among the first `count` of the model, which must be the first of the slice too."""
    flags = [layer.source < count for layer in layers]
    if True in flags[sum(flags) :]:
        raise UnsupportedModelError(
            f"{model.header.path}: architecture {model.architecture!a} cannot be cut here: the stand-in that layers "
            f"[{layers[-1].source}, ..) need is no dense layer as the first are; cut elsewhere"
        )
    return sum(flags)


def _missing(model: Model, first: int, end: int) -> Iterator[int]:
    """The first layer of each kind that the model has, the slice has not, and libllama needs.

    A hybrid memory asserts that layers of both kinds are computed; so does one with sliding windows, of those.
    """
    is_hybrid = model.row.recurrent not in ("", "all")
    kinds: list[tuple[bool, ...]] = [model.recurrent, model.attends] if is_hybrid else []
    if model.sliding is not None and not (model.row.window and model.row.window.optional):
        kinds.append(model.sliding)
    for kind in kinds:
        if any(kind) and not any(kind[first:end]):
            yield kind.index(True)
