"""Placement: which stage runs on which device, and where the layers are cut. A pure search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from cluster.errors import CapacityError, UsageError


@dataclass(frozen=True, slots=True)
class DeviceOffer:
    """A device that may carry stages. `device` is its name on its node, such as "CPU" or "CUDA0"."""

    node: str
    device: str
    memory_bytes: int  # free
    speed: float | None = None  # relative; used only if every device has one, else memory stands for it

    @property
    def name(self) -> str:
        return f"{self.node}/{self.device}"


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """What a model's parts take. The embedding goes to the first stage, norm and head to the last."""

    layer_bytes: tuple[int, ...]  # weights of each layer
    kv_bytes: tuple[int, ...]  # KV of each layer, all slots together
    embed_bytes: int
    head_bytes: int  # the embedding's size where it is tied to the head
    tied_head: bool = False  # embedding and head are one tensor: a stage with both holds it once
    compute_bytes: int = 0  # scratch of any stage

    @property
    def num_layers(self) -> int:
        return len(self.layer_bytes)


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage: layers [first, end) on a device."""

    stage: int
    node: str
    device: str
    first: int
    end: int
    weight_bytes: int  # embedding and head included
    kv_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All stages, in the order in which rows pass them."""

    stages: tuple[StagePlan, ...]


def place(
    offers: Sequence[DeviceOffer],
    model: LayerSizes,
    num_stages: int,
    legal_cuts: Iterable[int] | None = None,
    *,
    devices: Sequence[str] = (),
    headroom: float = 0.1,
) -> Plan:
    """The plan whose slowest stage takes the least time, and whose stages are then as even as can be.

    A stage takes as long as it needs to read its weights: layers, and the head on the last. The embedding
    counts as memory only, since a step reads a few of its rows. Exact over all legal cuts, if each stage has
    a device of its own; stages that share one share its speed evenly, and must fit into it together.

    Args:
        offers: devices in the order in which stages are laid over them.
        legal_cuts: layers at which a slice may begin, in (0, num_layers); None allows all.
        devices: names ("CUDA0" or "node/CUDA0") for the stages, in order; fewer than stages are repeated,
            each for neighbouring stages. Empty takes the largest offers.
        headroom: share of each device's memory that is left alone.

    Raises:
        UsageError: no stage, more stages than slices can be made, or a device that nobody offers.
        CapacityError: the model does not fit; needed and available bytes of each stage are named.
    """
    cuts = _cuts(model, num_stages, legal_cuts)
    chosen = _choose(offers, devices, num_stages)
    sharers = Counter(offer.name for offer in chosen)
    usable = [int(offer.memory_bytes * (1 - headroom)) for offer in chosen]
    shares = [whole // sharers[offer.name] for whole, offer in zip(usable, chosen, strict=True)]
    speeds = [speed / sharers[offer.name] for speed, offer in zip(_speeds(chosen), chosen, strict=True)]
    sizes = _Sizes(model)
    # Stages that share a device may each take all of it, as long as they fit together; if the most even cut
    # does not, each is held to an equal part.
    for limits in (usable, shares):
        bounds = _search(sizes, cuts, speeds, limits)
        if bounds is not None and _fits(sizes, bounds, chosen, usable):
            return Plan(tuple(_stage(sizes, chosen[i], i, *bounds[i]) for i in range(num_stages)))
    unlimited = _search(sizes, cuts, speeds, [math.inf] * num_stages)
    assert unlimited is not None
    raise _too_big(sizes, unlimited, chosen, shares)


class _Sizes:
    """Sums over ranges of layers."""

    def __init__(self, model: LayerSizes) -> None:
        if len(model.kv_bytes) != model.num_layers:
            raise UsageError(f"kv_bytes: {len(model.kv_bytes)} for {model.num_layers} layers; give one each")
        self._model = model
        self._weights = list(accumulate(model.layer_bytes, initial=0))
        self._kv = list(accumulate(model.kv_bytes, initial=0))

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
        return self.weight_bytes(first, end) + self.kv_bytes(first, end) + self._model.compute_bytes


def _cuts(model: LayerSizes, num_stages: int, legal_cuts: Iterable[int] | None) -> list[int]:
    """Where slices may begin or end, 0 and num_layers included, ascending."""
    num_layers = model.num_layers
    if num_stages < 1:
        raise UsageError(f"stages: {num_stages} cannot hold a model; give at least 1")
    if num_stages > num_layers:
        raise UsageError(f"stages: {num_stages} for a model of {num_layers} layers; give at most {num_layers}")
    inner = set(range(1, num_layers) if legal_cuts is None else legal_cuts) & set(range(1, num_layers))
    if num_stages > len(inner) + 1:
        raise UsageError(
            f"stages: {num_stages}, but this model can be cut exactly at {len(inner)} places only; "
            f"give at most {len(inner) + 1}"
        )
    return [0, *sorted(inner), num_layers]


def _choose(offers: Sequence[DeviceOffer], names: Sequence[str], num_stages: int) -> list[DeviceOffer]:
    """A device for each stage."""
    if not offers:
        raise UsageError("devices: nobody offers one; start a node first")
    if names:
        offers = _named(offers, names)
        if len(offers) > num_stages:
            raise UsageError(f"devices: {len(offers)} named for {num_stages} stages; name one for each stage")
    elif len(offers) > num_stages:
        largest = sorted(range(len(offers)), key=lambda i: -offers[i].memory_bytes)[:num_stages]
        offers = [offers[i] for i in sorted(largest)]
    return [offers[stage * len(offers) // num_stages] for stage in range(num_stages)]


def _named(offers: Sequence[DeviceOffer], names: Sequence[str]) -> list[DeviceOffer]:
    """The offer of each name; a name that comes again means the next device of that name, if there is one."""
    seen: Counter[str] = Counter()
    chosen = []
    for name in names:
        matching = [offer for offer in offers if name in (offer.device, offer.name)]
        if not matching:
            known = ", ".join(sorted({offer.name for offer in offers}))
            raise UsageError(f"devices: there is no {name!r}; known are {known}")
        chosen.append(matching[seen[name] % len(matching)])
        seen[name] += 1
    return chosen


def _speeds(chosen: Sequence[DeviceOffer]) -> list[float]:
    given = [offer.speed for offer in chosen if offer.speed is not None and offer.speed > 0]
    if len(given) == len(chosen):
        return given
    return [float(max(offer.memory_bytes, 1)) for offer in chosen]


def _search(
    sizes: _Sizes, cuts: Sequence[int], speeds: Sequence[float], limits: Sequence[float]
) -> list[tuple[int, int]] | None:
    """[first, end) of each stage; None if nothing fits.

    Two passes over the same table: the least possible longest stage, then, under that bound, the least sum of
    squares. One pass for both would not be exact, since a prefix need not be better than the bound.
    """
    slowest = _table(sizes, cuts, speeds, limits, math.inf, max)
    if slowest is None:
        return None
    # The bound is a time that the second pass computes in the same way, so that equality is exact.
    even = _table(sizes, cuts, speeds, limits, slowest[0], lambda so_far, load: so_far + load * load)
    assert even is not None
    return even[1]


def _table(
    sizes: _Sizes,
    cuts: Sequence[int],
    speeds: Sequence[float],
    limits: Sequence[float],
    bound: float,
    join: Callable[[float, float], float],
) -> tuple[float, list[tuple[int, int]]] | None:
    """Dynamic programme over (stage, end): the least joined load, and the ranges that give it."""
    best: dict[int, tuple[float, list[tuple[int, int]]]] = {0: (0.0, [])}  # by end of the stages so far
    for speed, limit in zip(speeds, limits, strict=True):
        following: dict[int, tuple[float, list[tuple[int, int]]]] = {}
        for first, (so_far, ranges) in best.items():
            for end in cuts[cuts.index(first) + 1 :]:
                load = sizes.read_bytes(first, end) / speed
                if load > bound or sizes.need_bytes(first, end) > limit:
                    continue
                joined = join(so_far, load)
                if end not in following or joined < following[end][0]:
                    following[end] = (joined, [*ranges, (first, end)])
        best = following
    return best.get(cuts[-1])


def _fits(
    sizes: _Sizes, bounds: Sequence[tuple[int, int]], chosen: Sequence[DeviceOffer], usable: Sequence[int]
) -> bool:
    """The stages of each device fit into it together."""
    needed: Counter[str] = Counter()
    for (first, end), offer in zip(bounds, chosen, strict=True):
        needed[offer.name] += sizes.need_bytes(first, end)
    return all(needed[offer.name] <= whole for offer, whole in zip(chosen, usable, strict=True))


def _stage(sizes: _Sizes, offer: DeviceOffer, stage: int, first: int, end: int) -> StagePlan:
    weight_bytes, kv_bytes = sizes.weight_bytes(first, end), sizes.kv_bytes(first, end)
    return StagePlan(stage, offer.node, offer.device, first, end, weight_bytes, kv_bytes)


def _too_big(
    sizes: _Sizes, bounds: Sequence[tuple[int, int]], chosen: Sequence[DeviceOffer], shares: Sequence[int]
) -> CapacityError:
    stages = "; ".join(
        f"stage {stage} needs {_mib(sizes.need_bytes(*cut))}, {offer.name} has {_mib(share)} for it"
        for stage, (cut, offer, share) in enumerate(zip(bounds, chosen, shares, strict=True))
    )
    return CapacityError(
        f"memory: the model does not fit: {stages}; add devices, or make the context or the slots fewer"
    )


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
