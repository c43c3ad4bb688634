"""What the parts of a model take, and any range of its layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from cluster.api.errors import UsageError
from cluster.planning.search.cut_search import Range


@dataclass(frozen=True, slots=True)
class Scratch:
    """Bytes that a stage takes beside its weights and KV, by its role."""

    first: int = 0
    inner: int = 0
    last: int = 0
    whole: int = 0  # first and last at once


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """What a model's parts take. The embedding goes to the first stage, norm and head to the last."""

    layer_bytes: tuple[int, ...]  # weights of each layer
    kv_bytes: tuple[int, ...]  # KV of each layer, all slots together
    embed_bytes: int
    head_bytes: int  # the embedding's size where it is tied to the head
    tied_head: bool = False  # embedding and head are one tensor: a stage with both holds it once
    scratch: Scratch = Scratch()
    # How much each layer computes, where that does not go by its weights; () where it does.
    work: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.kv_bytes) != self.num_layers:
            raise UsageError(f"kv_bytes: {len(self.kv_bytes)} for {self.num_layers} layers; give one each")

    @property
    def num_layers(self) -> int:
        return len(self.layer_bytes)


class Sums:
    """Sums over ranges of layers."""

    def __init__(self, model: LayerSizes) -> None:
        self._model = model
        self._weights = list(accumulate(model.layer_bytes, initial=0))
        self._kv = list(accumulate(model.kv_bytes, initial=0))
        self._work = list(accumulate(model.work, initial=0))

    def work(self, first: int, end: int) -> int:
        """What steps take time for: the bytes of weights that they read, or what is known of it otherwise."""
        return self._work[end] - self._work[first] if self._model.work else self.read_bytes(first, end)

    @property
    def is_program(self) -> bool:
        """Whether it has neither a context nor slots."""
        return bool(self._model.work)

    def read_bytes(self, first: int, end: int) -> int:
        """Weights that every step reads."""
        head = self._model.head_bytes if end == self._model.num_layers else 0
        return self._weights[end] - self._weights[first] + head

    def weight_bytes(self, first: int, end: int) -> int:
        holds_twice = self._model.tied_head and end == self._model.num_layers
        embed = self._model.embed_bytes if first == 0 and not holds_twice else 0
        return self.read_bytes(first, end) + embed

    def kv_bytes(self, first: int, end: int) -> int:
        return self._kv[end] - self._kv[first]

    def need_bytes(self, first: int, end: int) -> int:
        return self.weight_bytes(first, end) + self.kv_bytes(first, end) + self._scratch(first, end)

    def moved_bytes(self, first: int, end: int, held: Iterable[Range]) -> int:
        """Weights of these layers, with embedding and head, that are not among those of the ranges that are `held`."""
        overlaps = ((max(first, start), min(end, stop)) for start, stop in held)
        return self.weight_bytes(first, end) - sum(self.weight_bytes(*both) for both in overlaps if both[0] < both[1])

    def _scratch(self, first: int, end: int) -> int:
        scratch, is_last = self._model.scratch, end == self._model.num_layers
        if first == 0:
            return scratch.whole if is_last else scratch.first
        return scratch.last if is_last else scratch.inner
