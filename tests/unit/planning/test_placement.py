"""Placement: the search against trying everything, and its errors."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import CapacityError, UsageError
from cluster.planning.search.placement import DeviceOffer, place
from cluster.planning.search.sizes import LayerSizes, Scratch

_GB = 10**9


def offer(name: str = "CPU", node: str = "n0", memory_bytes: int = 100 * _GB, **more: float) -> DeviceOffer:
    return DeviceOffer(node, name, memory_bytes, **more)


def model(num_layers: int, **changes: Any) -> LayerSizes:
    sizes = LayerSizes((_GB,) * num_layers, (_GB // 10,) * num_layers, embed_bytes=_GB, head_bytes=_GB)
    return dataclasses.replace(sizes, **changes)


def ranges(plan_of: object) -> list[tuple[int, int]]:
    return [(stage.first, stage.end) for stage in plan_of.stages]  # type: ignore[attr-defined]


def test_equal_devices_get_equal_work_with_the_head_on_the_last() -> None:
    gpus = [offer(f"CUDA{i}") for i in range(3)]
    assert ranges(place(gpus, model(11), 3)) == [(0, 4), (4, 8), (8, 11)]
    plan = place(gpus, model(11), 3)
    assert [stage.device for stage in plan.stages] == ["CUDA0", "CUDA1", "CUDA2"]
    assert [stage.weight_bytes for stage in plan.stages] == [5 * _GB, 4 * _GB, 4 * _GB]
    assert [stage.kv_bytes for stage in plan.stages] == [4 * _GB // 10, 4 * _GB // 10, 3 * _GB // 10]


def test_one_stage_takes_everything_and_holds_a_tied_head_once() -> None:
    (stage,) = place([offer()], model(4, tied_head=True), 1).stages
    assert (stage.first, stage.end, stage.weight_bytes) == (0, 4, 5 * _GB)
    first, last = place([offer()], model(4, tied_head=True), 2).stages
    assert first.weight_bytes + last.weight_bytes == 6 * _GB


def test_a_larger_or_faster_device_gets_more() -> None:
    small, large = offer("CUDA0", memory_bytes=10 * _GB), offer("CUDA1", memory_bytes=30 * _GB)
    assert ranges(place([small, large], model(15), 2)) == [(0, 4), (4, 15)]
    fast, slow = dataclasses.replace(small, speed=3.0), dataclasses.replace(large, speed=1.0)
    assert ranges(place([fast, slow], model(8, embed_bytes=0), 2)) == [(0, 7), (7, 8)]


def test_stages_beside_the_slowest_are_even_too() -> None:
    sizes = LayerSizes((10, 1, 1, 1, 1, 1, 1), (0,) * 7, embed_bytes=0, head_bytes=0)
    assert ranges(place([offer(f"CUDA{i}") for i in range(3)], sizes, 3)) == [(0, 1), (1, 4), (4, 7)]


def test_memory_bounds_a_fast_device() -> None:
    fast, slow = offer("CUDA0", memory_bytes=5 * _GB, speed=99.0), offer("CPU", speed=1.0)
    assert ranges(place([fast, slow], model(10), 2, headroom=0.0)) == [(0, 3), (3, 10)]


def test_stages_on_one_device_share_it() -> None:
    plan = place([offer(memory_bytes=10 * _GB)], model(6), 2, headroom=0.0)
    assert [(stage.first, stage.end, stage.device) for stage in plan.stages] == [(0, 3, "CPU"), (3, 6, "CPU")]
    with pytest.raises(CapacityError, match=r"stage 0 needs .* MiB, n0/CPU has .* MiB for it; stage 1"):
        place([offer(memory_bytes=8 * _GB)], model(6), 2, headroom=0.0)


def test_named_devices_are_used_in_order() -> None:
    offers = [offer("CPU", "a"), offer("CUDA0", "a"), offer("CPU", "b")]

    def used(*names: str, num_stages: int) -> list[str]:
        plan = place(offers, model(8), num_stages, devices=names)
        return [f"{stage.node}/{stage.device}" for stage in plan.stages]

    assert used("CUDA0", "CPU", num_stages=2) == ["a/CUDA0", "a/CPU"]
    assert used("CPU", "CPU", num_stages=2) == ["a/CPU", "b/CPU"]
    assert used("b/CPU", num_stages=2) == ["b/CPU", "b/CPU"]
    assert used("CUDA0", "CPU", num_stages=4) == ["a/CUDA0", "a/CUDA0", "a/CPU", "a/CPU"]


def test_only_legal_cuts_are_made() -> None:
    gpus = [offer("CUDA0"), offer("CUDA1")]
    assert ranges(place(gpus, model(12), 2, legal_cuts=[3, 9])) == [(0, 9), (9, 12)]
    with pytest.raises(UsageError, match=r"stages: 4, but .* at 2 places only; give at most 3"):
        place(gpus, model(12), 4, legal_cuts=[3, 9, 12, 0])


def test_requests_that_make_no_sense_name_the_numbers() -> None:
    with pytest.raises(UsageError, match="stages: 0 "):
        place([offer()], model(4), 0)
    with pytest.raises(UsageError, match="stages: 5 for a model of 4 layers"):
        place([offer()], model(4), 5)
    with pytest.raises(UsageError, match=r"no 'CUDA7'; known are n0/CPU, n0/CUDA0"):
        place([offer(), offer("CUDA0")], model(4), 1, devices=["CUDA7"])
    with pytest.raises(UsageError, match="3 named for 2 stages"):
        place([offer()], model(4), 2, devices=["CPU"] * 3)
    with pytest.raises(UsageError, match="nobody offers"):
        place([], model(4), 1)


def test_the_sampling_of_tokens_takes_layers_away() -> None:
    """The head costs layers on the last stage: its reading, and the time to draw."""
    pair = [offer(f"CUDA{i}", speed=float(_GB)) for i in range(2)]
    assert ranges(place(pair, model(9), 2)) == [(0, 5), (5, 9)]
    slow_draw = [pair[0], dataclasses.replace(pair[1], sample_s=2.0)]
    assert ranges(place(slow_draw, model(9), 2)) == [(0, 6), (6, 9)]


def test_scratch_of_its_role_must_fit_too() -> None:
    roomy, tight = offer("CUDA0", speed=1.0), offer("CUDA1", memory_bytes=6 * _GB, speed=1.0)
    scratch = Scratch(last=3 * _GB)
    assert ranges(place([roomy, tight], model(8), 2, headroom=0.0)) == [(0, 4), (4, 8)]
    assert ranges(place([roomy, tight], model(8, scratch=scratch), 2, headroom=0.0)) == [(0, 7), (7, 8)]


def test_where_the_layers_would_go_can_be_asked_without_memory() -> None:
    small = [offer("CUDA0", memory_bytes=_GB), offer("CUDA1", memory_bytes=_GB)]
    with pytest.raises(CapacityError):
        place(small, model(9), 2)
    assert place(small, model(9), 2, within_memory=False).bounds == (0, 5, 9)


@given(st.data())
def test_the_search_is_as_good_as_trying_everything(data: st.DataObject) -> None:
    small = st.integers(0, 9)
    num_layers = data.draw(st.integers(1, 6))
    per_layer = st.lists(small, min_size=num_layers, max_size=num_layers).map(tuple)
    scratch = Scratch(*data.draw(st.tuples(small, small, small, small)))
    sizes = LayerSizes(data.draw(per_layer), data.draw(per_layer), data.draw(small), data.draw(small), scratch=scratch)
    num_stages = data.draw(st.integers(1, num_layers))
    legal = data.draw(st.sets(st.integers(1, max(num_layers - 1, 1)), min_size=num_stages - 1))
    each = {"min_size": num_stages, "max_size": num_stages}
    memories = data.draw(st.lists(st.integers(10, 80), **each))
    speeds = data.draw(st.lists(st.sampled_from((1, 2, 4, 5)), **each))  # exact in whole units of time
    draws = data.draw(st.lists(st.integers(0, 3), **each))
    offers = [
        offer(f"D{i}", memory_bytes=memories[i], speed=float(speeds[i]), sample_s=float(draws[i]))
        for i in range(num_stages)
    ]

    def time(stage: int, first: int, end: int) -> Fraction:
        is_last = end == num_layers
        read = sum(sizes.layer_bytes[first:end]) + (sizes.head_bytes if is_last else 0)
        return Fraction(read, speeds[stage]) + (draws[stage] if is_last else 0)

    def fits(stage: int, first: int, end: int) -> bool:
        is_last = end == num_layers
        need = sum(sizes.layer_bytes[first:end]) + sum(sizes.kv_bytes[first:end])
        need += (sizes.head_bytes if is_last else 0) + (sizes.embed_bytes if first == 0 else 0)
        roles = {(True, True): scratch.whole, (True, False): scratch.first, (False, True): scratch.last}
        return need + roles.get((first == 0, is_last), scratch.inner) <= memories[stage]

    def score(cuts: list[tuple[int, int]]) -> tuple[Fraction, Fraction, Fraction]:
        times = [time(stage, *cut) for stage, cut in enumerate(cuts)]
        return max(times), sum(times, Fraction()), sum((value * value for value in times), Fraction())

    inner_cuts = sorted(legal & set(range(1, num_layers)))
    if num_stages > len(inner_cuts) + 1:
        return
    everything = (
        list(itertools.pairwise([0, *inner, num_layers]))
        for inner in itertools.combinations(inner_cuts, num_stages - 1)
    )
    possible = [cuts for cuts in everything if all(fits(stage, *cut) for stage, cut in enumerate(cuts))]
    if not possible:
        with pytest.raises(CapacityError):
            place(offers, sizes, num_stages, legal, headroom=0.0)
        return
    found = ranges(place(offers, sizes, num_stages, legal, headroom=0.0))
    assert found in possible
    assert score(found) == min(map(score, possible))
