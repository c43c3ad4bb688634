"""Placement: which stage runs on which device, and where the layers are cut. A pure search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.api.errors import CapacityError, UsageError
from cluster.planning.search.cut_search import Cost, Range, best_cuts, fewest_moves
from cluster.planning.search.sizes import LayerSizes, Sums

UNITS_PER_S = 10**12  # the search compares whole numbers


@dataclass(frozen=True, slots=True)
class DeviceOffer:
    """A device that may carry stages. `device` is its name on its node, such as "CPU" or "CUDA0"."""

    node: str
    device: str
    memory_bytes: int  # free
    # What one stage on it was measured to do for a microbatch; used only if every device has a speed.
    speed: float | None = None  # weight bytes per second, with all of its stages at work
    sample_s: float = 0.0  # to draw the tokens, on the last stage

    @property
    def name(self) -> str:
        return f"{self.node}/{self.device}"


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

    @property
    def bounds(self) -> tuple[int, ...]:
        """Layers at which the slices begin, and the end of the last."""
        return (0, *(stage.end for stage in self.stages))


def place(
    offers: Sequence[DeviceOffer],
    model: LayerSizes,
    num_stages: int,
    legal_cuts: Iterable[int] | None = None,
    *,
    devices: Sequence[str] = (),
    headroom: float = 0.1,
    within_memory: bool = True,
    held: Sequence[Sequence[Range]] = (),
    slack: float = 0.0,
) -> Plan:
    """The plan whose slowest stage takes the least time; then the least time in all; then the most even one.

    A stage takes as long as it needs to read its weights: layers, and the head on the last, which also samples. Rows
    are passed on between the steps of a stage, wherever the cuts lie. The embedding counts as memory only, since a
    step reads a few of its rows. Exact over all legal cuts, if each stage has a device of its own; stages that share
    one must fit into it together.

    Args:
        offers: devices in the order in which stages are laid over them.
        legal_cuts: layers at which a slice may begin, in (0, num_layers); None allows all.
        devices: names ("CUDA0" or "node/CUDA0") for the stages, in order; fewer than stages are repeated,
            each for neighbouring stages. Empty takes the largest offers.
        headroom: share of each device's memory that is left alone.
        within_memory: False tells where the layers would go if there was memory enough.
        held: for each stage, the layers that its device has already. Then a plan whose slowest stage takes up to
            `1 + slack` times as long is taken where less has to be moved; of those that move as little, the one where
            the fewest bytes are in stages whose layers change.

    Raises:
        UsageError: no stage, more stages than slices can be made, or a device that nobody offers.
        CapacityError: the model does not fit; needed and available bytes of each stage are named.
    """
    cuts = checked_cuts(model.num_layers, num_stages, legal_cuts)
    chosen = choose_offers(offers, devices, num_stages)
    sizes, paces = Sums(model), _paces(chosen)
    sharers = Counter(offer.name for offer in chosen)
    usable = [int(offer.memory_bytes * (1 - headroom)) for offer in chosen]
    shares = [whole // sharers[offer.name] for whole, offer in zip(usable, chosen, strict=True)]

    def cost(stage: int, first: int, end: int) -> int:
        return paces[stage].units(sizes.work(first, end), is_last=end == model.num_layers)

    def moves(stage: int, first: int, end: int) -> Cost:
        """The bytes that are new to the device, and all that a stage loads whose layers are not as they were."""
        loaded_bytes = 0 if (first, end) in held[stage] else sizes.weight_bytes(first, end)
        return sizes.moved_bytes(first, end, held[stage]), loaded_bytes

    def search(limits: Sequence[int] | None) -> list[Range] | None:
        def fits(stage: int, first: int, end: int) -> bool:
            return limits is None or sizes.need_bytes(first, end) <= limits[stage]

        if held:
            return fewest_moves(num_stages, cuts, cost, fits, moves, slack)
        return best_cuts(num_stages, cuts, cost, fits)

    # Stages that share a device may each take all of it, as long as they fit together; if the best cut does
    # not, each is held to an equal part.
    for limits in (usable, shares) if within_memory else ():
        ranges = search(limits)
        if ranges is not None and _fit_together(sizes, ranges, chosen, usable):
            return _plan(sizes, ranges, chosen)
    unlimited = search(None)
    assert unlimited is not None
    if within_memory:
        raise _too_big(sizes, unlimited, chosen, shares)
    return _plan(sizes, unlimited, chosen)


def place_at(
    offers: Sequence[DeviceOffer],
    model: LayerSizes,
    ranges: Sequence[Range],
    *,
    devices: Sequence[str] = (),
    headroom: float = 0.1,
    within_memory: bool = True,
) -> Plan:
    """The plan with these [first, end), which follow one another. Arguments and errors as for `place`."""
    chosen = choose_offers(offers, devices, len(ranges))
    sizes = Sums(model)
    usable = [int(offer.memory_bytes * (1 - headroom)) for offer in chosen]
    if within_memory and not _fit_together(sizes, ranges, chosen, usable):
        raise _too_big(sizes, ranges, chosen, usable)
    return _plan(sizes, ranges, chosen)


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast a stage on its device is."""

    speed: float
    sample_s: float = 0.0

    def units(self, read_bytes: int, is_last: bool) -> int:
        return round(UNITS_PER_S * (read_bytes / self.speed + (self.sample_s if is_last else 0.0)))


def _paces(chosen: Sequence[DeviceOffer]) -> list[_Pace]:
    """Measured ones; unless there is one for each, memory stands for speed, shared by the stages of a device."""
    measured = [_Pace(offer.speed, offer.sample_s) for offer in chosen if offer.speed]
    if len(measured) == len(chosen):
        return measured
    sharers = Counter(offer.name for offer in chosen)
    return [_Pace(max(offer.memory_bytes, 1) / sharers[offer.name]) for offer in chosen]


def checked_cuts(num_layers: int, num_stages: int, legal_cuts: Iterable[int] | None) -> list[int]:
    """Where slices may begin or end, 0 and num_layers included, ascending. UsageError for too many stages."""
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


def choose_offers(offers: Sequence[DeviceOffer], names: Sequence[str], num_stages: int) -> list[DeviceOffer]:
    """A device for each stage, see `place`."""
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


def _fit_together(sizes: Sums, ranges: Sequence[Range], chosen: Sequence[DeviceOffer], usable: Sequence[int]) -> bool:
    """The stages of each device fit into it together."""
    needed: Counter[str] = Counter()
    for (first, end), offer in zip(ranges, chosen, strict=True):
        needed[offer.name] += sizes.need_bytes(first, end)
    return all(needed[offer.name] <= whole for offer, whole in zip(chosen, usable, strict=True))


def _plan(sizes: Sums, ranges: Sequence[Range], chosen: Sequence[DeviceOffer]) -> Plan:
    return Plan(
        tuple(
            StagePlan(
                stage,
                offer.node,
                offer.device,
                *cut,
                weight_bytes=sizes.weight_bytes(*cut),
                kv_bytes=sizes.kv_bytes(*cut),
            )
            for stage, (offer, cut) in enumerate(zip(chosen, ranges, strict=True))
        )
    )


def _too_big(
    sizes: Sums, ranges: Sequence[Range], chosen: Sequence[DeviceOffer], shares: Sequence[int]
) -> CapacityError:
    stages = "; ".join(
        f"stage {stage} needs {_mib(sizes.need_bytes(*cut))}, {offer.name} has {_mib(share)} for it"
        for stage, (cut, offer, share) in enumerate(zip(ranges, chosen, shares, strict=True))
    )
    advice = "add devices" if sizes.is_program else "add devices, or make the context or the slots fewer"
    return CapacityError(f"memory: the model does not fit: {stages}; {advice} (cluster plan says by how much)")


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.1f} MiB"
