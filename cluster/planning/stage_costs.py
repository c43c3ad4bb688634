"""From a rehearsal of parts of a model to what steps cost on its stages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import mean

from cluster.engine.cost.decode import PipelineCosts
from cluster.engine.cost.points import between, step_ms
from cluster.messages.stage import StageCosts
from cluster.planning.measure.rehearsal.cast import Figures, Scene, Watched
from cluster.planning.search.cut_search import Range
from cluster.planning.search.sizes import LayerSizes

# Weights that a stage of a rehearsal reads, if a part of its layers can be so few: several times what caches hold. On
# the 2-core machine (32 MB of them) 96 MB of a 600 MB model were a sixth too fast.
PART_BYTES = 192 << 20

Points = tuple[tuple[int, float], ...]  # (rows, milliseconds)


def part_of(whole: Range, cuts: Sequence[int], sizes: LayerSizes) -> Range:
    """The layers of `whole` that a stage rehearses: as many as PART_BYTES hold, with the head where it has that."""
    first, end = whole
    sums = list(accumulate(sizes.layer_bytes, initial=0))
    inner = [cut for cut in cuts if first < cut < end]
    if end == sizes.num_layers and first > 0:
        parts = [(cut, end) for cut in (first, *inner)]  # the longest first
    else:
        parts = [(first, cut) for cut in (end, *reversed(inner))]
    return next((part for part in parts if sums[part[1]] - sums[part[0]] <= PART_BYTES), parts[-1])


def is_small(whole: Range, sizes: LayerSizes) -> bool:
    """Whether all of it can be rehearsed."""
    return sum(sizes.layer_bytes[whole[0] : whole[1]]) <= PART_BYTES


def scenes_for(num_stages: int, num_slots: int, *, lends: bool) -> tuple[Scene, ...]:
    """One sequence and all of them; with the stages' own cores, and with lent ones."""
    numbers = (1, num_slots) if num_slots > 1 else (1,)
    ways = (False, True) if lends and num_stages > 1 else (False,)
    return tuple(Scene(number, exclusive) for exclusive in ways for number in numbers)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal of `parts`, one for each stage, has shown; `figures.watched[i]` is of `scenes[i]`."""

    parts: tuple[Range, ...]
    scenes: tuple[Scene, ...]
    figures: Figures
    sizes: LayerSizes
    devices: tuple[str, ...]  # one for each stage
    speedups: tuple[float, ...]  # cores that a stage has while no other computes, in times of its share

    @property
    def has_all_cores(self) -> bool:
        """Whether the stages were seen with the cores of all of them."""
        return any(scene.exclusive for scene in self.scenes)

    def costs(self, ranges: Sequence[Range]) -> PipelineCosts:
        """The costs of a pipeline whose stages have these layers, or of one stage that has all of them."""
        if len(ranges) < len(self.parts):
            return self._whole_costs()
        own, lent = self._watched(exclusive=False), self._watched(exclusive=True)
        stages = []
        for stage, whole in enumerate(ranges):
            shared, alone = self._shared(stage, own), _points(lent, stage)
            decode_ms = self._scaled(stage, whole, shared, self._shared(0, own))
            stages.append(StageCosts(decode_ms, self._scaled(stage, whole, alone, _points(lent, 0))))
        return PipelineCosts(tuple(stages), self._hop_ms, self._turn_ms)

    def known(self, ranges: Sequence[Range]) -> PipelineCosts:
        """What the scheduler of such a pipeline will choose by: what each stage measures when it is loaded."""
        if len(ranges) < len(self.parts):
            return self.costs(ranges)
        raw_ms, speedups = self.figures.raw_ms, self.speedups
        decode_ms = [self._scaled(stage, whole, raw_ms[stage], raw_ms[0]) for stage, whole in enumerate(ranges)]
        return PipelineCosts(tuple(StageCosts.of(*measured) for measured in zip(decode_ms, speedups, strict=True)))

    def start_ms(self, num_sequences: int) -> float:
        """Until each of so many requests of one token has its first one, the stages being idle before."""
        ways = [self._watched(exclusive=exclusive) for exclusive in (False, True)]
        numbers = sorted({scene.num_sequences for scene in self.scenes})
        points = [(number, min(way[at].start_ms for way in ways if way)) for at, number in enumerate(numbers)]
        return between(points, num_sequences)

    def _whole_costs(self) -> PipelineCosts:
        """One stage with all layers and the cores that all stages had: the last stage's head, and all the layers.

        Its next step lies there already when one ends: no message is waited for.
        """
        lent = self._watched(exclusive=True) or self._watched(exclusive=False)
        last, whole = len(self.parts) - 1, (0, self.sizes.num_layers)
        points = self._scaled(last, whole, _points(lent, last), _points(lent, 0))
        return PipelineCosts((StageCosts(points),), 0.0)

    def _watched(self, *, exclusive: bool) -> list[Watched]:
        pairs = zip(self.scenes, self.figures.watched, strict=True)
        return [watched for scene, watched in pairs if scene.exclusive == exclusive]

    def _shared(self, stage: int, own: Sequence[Watched]) -> Points:
        """What the stage measured by itself, and what it takes longer in the pipeline, by the nearest rows seen."""
        seen = _points(own, stage)
        raw_ms = self.figures.raw_ms[stage]
        more_ms = tuple((rows, max(0.0, ms - step_ms(raw_ms, rows))) for rows, ms in seen)
        return tuple((rows, ms + between(more_ms, rows)) for rows, ms in raw_ms)

    def _overhead_ms(self, stage: int) -> float:
        """What a step of one row takes beyond computing: no more, however many layers there are."""
        (first, *_) = self.figures.watched
        return max(0.0, first.steps_ms[stage] - step_ms(self.figures.raw_ms[stage], first.num_rows))

    def _scaled(self, stage: int, whole: Range, points: Points, first: Points) -> Points:
        """What the part took, for the stage's own layers: time grows with the bytes of the layers, not the rest of it.

        `first`: the same of stage 0, which has no head: a byte of layers takes as long there as behind it.
        """
        part = self.parts[stage]
        if whole == part:
            return points
        more_bytes = self._bytes(whole) - self._bytes(part)
        return tuple((rows, ms + more_bytes * self._layer_ms(stage, ms, step_ms(first, rows))) for rows, ms in points)

    def _layer_ms(self, stage: int, took_ms: float, first_ms: float) -> float:
        """Milliseconds for a byte of the layers, where the part took `took_ms`, and stage 0 `first_ms`."""
        head_bytes = self.sizes.head_bytes if self.parts[stage][1] == self.sizes.num_layers else 0
        computed_ms = max(0.0, took_ms - self._overhead_ms(stage))
        by_all_bytes = computed_ms / (self._bytes(self.parts[stage]) + head_bytes)
        if not head_bytes or stage == 0 or self.devices[stage] != self.devices[0]:
            return by_all_bytes
        return max(0.0, first_ms - self._overhead_ms(0)) / self._bytes(self.parts[0])

    def _bytes(self, part: Range) -> int:
        return sum(self.sizes.layer_bytes[part[0] : part[1]])

    @property
    def _hop_ms(self) -> float:
        """A message: what of a round no stage computes, where one microbatch is under way, divided among them."""
        pairs = list(zip(self.scenes, self.figures.watched, strict=True))
        lone = [watched for scene, watched in pairs if scene.exclusive] or [
            watched for scene, watched in pairs if scene.num_sequences == 1 or len(self.parts) == 1
        ]
        return mean(max(0.0, one.round_ms - sum(one.steps_ms)) for one in lone) / len(self.parts)

    @property
    def _turn_ms(self) -> float:
        """What a round of several microbatches is longer than their steps and the hops between the stages."""
        pairs = zip(self.scenes, self.figures.watched, strict=True)
        shared = [watched for scene, watched in pairs if not scene.exclusive and scene.num_sequences > 1]
        hops_ms = (len(self.parts) - 1) * self._hop_ms
        return max([self._hop_ms, *(one.round_ms - sum(one.steps_ms) - hops_ms for one in shared)])


def _points(watched: Sequence[Watched], stage: int) -> Points:
    return tuple((one.num_rows, one.steps_ms[stage]) for one in watched)
