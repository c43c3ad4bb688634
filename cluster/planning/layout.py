"""Where the layers go: settings that say so, or the search, with the sizes that a dry run found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.api.errors import CapacityError, UsageError
from cluster.config import ClusterConfig
from cluster.cutting.adapter import layer_bytes_of
from cluster.cutting.sizes import model_sizes
from cluster.planning.inventory import Inventory
from cluster.planning.measure.dry_run import Context, DryRun, StageMemory
from cluster.planning.search.cut_search import Range
from cluster.planning.search.placement import DeviceOffer, Plan, place, place_at
from cluster.planning.search.sizes import LayerSizes, Scratch, Sums
from cluster.planning.search.tensor_split import cuts_by_fraction
from cluster.planning.survey import Survey
from ggml.gguf.tensor_types import tensor_type

MAX_CORRECTIONS = 3
CPU = "CPU"


@dataclass(frozen=True, slots=True)
class Layout:
    """A plan with what libllama will take for each stage; `offers[i]` is the device of stage i.

    `fits`: the stages of each device take no more than its free memory less the headroom.
    """

    plan: Plan
    memory: tuple[StageMemory, ...]
    offers: tuple[DeviceOffer, ...]
    usable_bytes: tuple[int, ...]  # each stage's device has it for all of its stages
    fits: bool

    @property
    def ranges(self) -> tuple[Range, ...]:
        return tuple((stage.first, stage.end) for stage in self.plan.stages)


class Layouts:
    """Lays one model out, for any context and any offers of devices."""

    def __init__(self, inventory: Inventory, dry_run: DryRun) -> None:
        self._survey = inventory
        self._dry_run = dry_run

    def lay_out(
        self,
        offers: Sequence[DeviceOffer],
        context: Context,
        *,
        within_memory: bool = True,
        held: Sequence[Sequence[Range]] = (),
        slack: float = 0.0,
    ) -> Layout:
        """One stage for each offer, in order. CapacityError if they do not fit, unless `within_memory` is False.

        `held` and `slack` are those of `place`.
        """
        sizes = self.layer_sizes(context, [offer.device for offer in offers])
        for _ in range(MAX_CORRECTIONS):
            layout = self._measured(self._plan(offers, sizes, within_memory, held, slack), offers, context)
            if layout.fits or not within_memory:
                return layout
            # The sums were too low for these cuts: look again with what libllama said.
            sizes = _corrected(sizes, layout)
        raise CapacityError(
            "memory: the model does not fit: "
            + "; ".join(_needs(layout))
            + "; cluster plan says what would have to change"
        )

    def fits(self, offers: Sequence[DeviceOffer], context: Context) -> bool:
        """Whether there is a way to lay it out."""
        try:
            self.lay_out(offers, context)
        except CapacityError:
            return False
        return True

    def layer_sizes(self, context: Context, devices: Sequence[str]) -> LayerSizes:
        """Sizes for a search over stages on `devices`.

        What stages take beside layers and KV is measured on the longest slice of each role that occurs.
        """
        model, num_layers = self._survey.model, self._survey.model.num_layers
        num_cells = context.n_ctx * context.n_slots
        sizes = model_sizes(model, num_cells, tensor_type(context.type_k), tensor_type(context.type_v))
        added = [layer_bytes_of(one.adapter, num_layers) for one in self._survey.adapters]
        layer_bytes = tuple(map(sum, zip(sizes.layer_bytes, *added, strict=True)))
        bare = LayerSizes(layer_bytes, sizes.kv_bytes, sizes.embed_bytes, sizes.head_bytes, sizes.tied_head)
        sums = Sums(bare)

        def scratch(first: int, end: int) -> int:
            here = set(map(self._here, devices))
            takes = max(self._dry_run.measure(first, end, device, context).total_bytes for device in here)
            return max(0, takes - sums.need_bytes(first, end))

        cuts = self._survey.cuts
        if len(devices) == 1 or not cuts:
            return replace(bare, scratch=Scratch(whole=scratch(0, num_layers)))
        has_inner = len(devices) > 2 and len(cuts) > 1
        inner = scratch(cuts[0], cuts[-1]) if has_inner else 0
        return replace(bare, scratch=Scratch(scratch(0, cuts[-1]), inner, scratch(cuts[0], num_layers)))

    def measure(self, ranges: Sequence[Range], devices: Sequence[str], context: Context) -> tuple[StageMemory, ...]:
        """What libllama takes for each stage."""
        here = map(self._here, devices)
        return tuple(self._dry_run.measure(*cut, device, context) for cut, device in zip(ranges, here, strict=True))

    def _here(self, device: str) -> str:
        """The device of the head that stands in for one that only another node has: what is planned is much the same.

        libllama lays out the same graph; what a kind of device adds to it is within the headroom.
        """
        known = self._survey.head.probe.devices
        if device in (one.name for one in known):
            return device
        return next((one.name for one in known if one.kind == "gpu"), CPU)

    def _plan(
        self,
        offers: Sequence[DeviceOffer],
        sizes: LayerSizes,
        within_memory: bool,
        held: Sequence[Sequence[Range]],
        slack: float,
    ) -> Plan:
        inventory = self._survey
        unique, names = list(dict.fromkeys(offers)), [offer.name for offer in offers]
        headroom = inventory.config.headroom
        ranges = asked_ranges(inventory.config, len(offers), inventory.model.num_layers, inventory.cuts)
        if ranges:
            return place_at(unique, sizes, ranges, devices=names, headroom=headroom, within_memory=within_memory)
        return place(
            unique,
            sizes,
            len(offers),
            inventory.cuts,
            devices=names,
            headroom=headroom,
            within_memory=within_memory,
            held=held,
            slack=slack,
        )

    def _measured(self, plan: Plan, offers: Sequence[DeviceOffer], context: Context) -> Layout:
        ranges = [(stage.first, stage.end) for stage in plan.stages]
        memory = self.measure(ranges, [offer.device for offer in offers], context)
        usable = tuple(int(offer.memory_bytes * (1 - self._survey.config.headroom)) for offer in offers)
        taken: Counter[str] = Counter()
        for offer, stage in zip(offers, memory, strict=True):
            taken[offer.name] += stage.total_bytes
        fits = all(taken[offer.name] <= whole for offer, whole in zip(offers, usable, strict=True))
        return Layout(plan, memory, tuple(offers), usable, fits)


def asked_ranges(config: ClusterConfig, num_stages: int, num_layers: int, cuts: Sequence[int]) -> tuple[Range, ...]:
    """What the settings say; () where the search decides, or a number of stages is tried that they do not mean."""
    if config.num_stages != num_stages:
        return ()
    if config.layer_shares:
        return cuts_by_fraction(num_layers, cuts, config.layer_shares)
    if config.layer_ranges:
        check_ranges(config.layer_ranges, num_layers, cuts)
    return config.layer_ranges


def check_ranges(ranges: Sequence[Range], num_layers: int, cuts: Sequence[int]) -> None:
    """UsageError unless `ranges` cover the model and are cut where it can be cut exactly."""
    if ranges[-1][1] != num_layers:
        raise UsageError(f"layers: they end at {ranges[-1][1] - 1}, the model's last is {num_layers - 1}")
    for first, _ in ranges[1:]:
        if first not in cuts:
            near = sorted(sorted(cuts, key=lambda cut: abs(cut - first))[:2])
            hint = f"near are {' and '.join(map(str, near))}" if near else "it can only be served whole"
            raise UsageError(f"layers: this model cannot be cut exactly before layer {first}; {hint}")


def offers_of(survey: Survey) -> tuple[DeviceOffer, ...]:
    """The device of each stage, without its pace."""
    return tuple(
        DeviceOffer(place.node.name, place.device.name, place.device.memory_free_bytes) for place in survey.places
    )


def _corrected(sizes: LayerSizes, layout: Layout) -> LayerSizes:
    """More scratch for every role, by what the worst stage takes beyond what was counted."""
    sums = Sums(sizes)
    missing = max(
        (stage.total_bytes - sums.need_bytes(*cut) for cut, stage in zip(layout.ranges, layout.memory, strict=True)),
        default=0,
    )
    more, old = max(missing, 1), sizes.scratch
    return replace(sizes, scratch=Scratch(old.first + more, old.inner + more, old.last + more, old.whole + more))


def _needs(layout: Layout) -> list[str]:
    stages = zip(layout.offers, layout.memory, layout.usable_bytes, strict=True)
    return [
        f"stage {number} needs {memory.total_bytes / 2**20:,.1f} MiB, {offer.name} has {usable / 2**20:,.1f} MiB for it"
        for number, (offer, memory, usable) in enumerate(stages)
    ]
