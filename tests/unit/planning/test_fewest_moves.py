"""A placement that leaves layers where they are: against trying everything, and what it is not paid for with."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import CapacityError
from cluster.planning.search.cut_search import Range
from cluster.planning.search.placement import DeviceOffer, place
from cluster.planning.search.sizes import LayerSizes, Sums

MIB = 2**20
SLACK = 0.15


def offers(*mib: int, speeds: tuple[float, ...] = ()) -> list[DeviceOffer]:
    given = speeds or (float(MIB),) * len(mib)
    return [
        DeviceOffer(f"n{at}", "CPU", size * MIB, speed) for at, (size, speed) in enumerate(zip(mib, given, strict=True))
    ]


def layers(num_layers: int) -> LayerSizes:
    return LayerSizes((MIB,) * num_layers, (0,) * num_layers, embed_bytes=0, head_bytes=0)


def bounds(sizes: LayerSizes, on: list[DeviceOffer], held: list[list[Range]], slack: float = SLACK) -> tuple[int, ...]:
    return place(on, sizes, len(on), held=held, slack=slack, headroom=0.0).bounds


def test_layers_stay_where_that_is_hardly_slower() -> None:
    """Of seven devices with ten layers each the fourth is lost. Its layers go to four others, and not a bit to all."""
    held = [[(0, 10)], [(10, 20)], [(20, 30)], [(40, 50)], [(50, 60)], [(60, 70)]]
    on = offers(*[99] * 6)
    best, found = bounds(layers(70), on, []), bounds(layers(70), on, held)
    assert sum(moved(best, held)) == 19
    assert moved(found, held) == [0, 2, 5, 5, 2, 0]
    assert max(end - first for first, end in itertools.pairwise(found)) == 13


def moved(found: tuple[int, ...], held: list[list[Range]]) -> list[int]:
    """Layers that are new to each device."""
    sums = Sums(layers(found[-1]))
    return [sums.moved_bytes(*cut, has) // MIB for cut, has in zip(itertools.pairwise(found), held, strict=True)]


def test_a_balance_that_would_be_lost_is_not() -> None:
    """The last of three: leaving all layers of the others in place would make the second twice as slow as the first."""
    held = [[(0, 8)], [(8, 16)]]
    assert bounds(layers(24), offers(99, 99), held) == (0, 11, 24)
    assert bounds(layers(24), offers(99, 99), held, slack=0.0) == (0, 12, 24)
    assert bounds(layers(24), offers(99, 99), held, slack=0.4) == (0, 8, 24)


def test_what_was_lost_goes_to_few_stages() -> None:
    """The device in the place of the lost one is slow. One stage beside it loads anew for it, not both."""
    held: list[list[Range]] = [[(0, 10)], [], [(14, 24)]]
    on = offers(99, 99, 99, speeds=(10.0 * MIB, 2.0 * MIB, 10.0 * MIB))
    assert bounds(layers(24), on, [], slack=0.25) == (0, 11, 13, 24)
    assert bounds(layers(24), on, held, slack=0.25) in [(0, 10, 11, 24), (0, 13, 14, 24)]


def test_memory_comes_first() -> None:
    held = [[(0, 8)], [(8, 16)]]
    assert bounds(layers(24), offers(99, 13), held, slack=1.0) == (0, 11, 24)
    with pytest.raises(CapacityError):
        bounds(layers(24), offers(10, 13), held, slack=1.0)


@given(st.data())
def test_nothing_within_the_bound_moves_less(data: st.DataObject) -> None:
    small = st.integers(0, 9)
    num_layers = data.draw(st.integers(1, 6))
    per_layer = st.lists(small, min_size=num_layers, max_size=num_layers).map(tuple)
    sizes = LayerSizes(data.draw(per_layer), data.draw(per_layer), data.draw(small), data.draw(small))
    num_stages = data.draw(st.integers(1, num_layers))
    legal = sorted(data.draw(st.sets(st.integers(1, max(num_layers - 1, 1)), min_size=num_stages - 1)))
    each = {"min_size": num_stages, "max_size": num_stages}
    memories = data.draw(st.lists(st.integers(10, 80), **each))
    speeds = data.draw(st.lists(st.sampled_from((1, 2, 4, 5)), **each))  # exact in whole units of time
    slack = data.draw(st.sampled_from((0.0, 0.25, 0.5, 1.0)))  # exact, too
    some = st.tuples(st.integers(0, num_layers - 1), st.integers(1, num_layers)).filter(lambda cut: cut[0] < cut[1])
    held = data.draw(st.lists(st.lists(some, max_size=1), **each))
    on = [DeviceOffer(f"n{at}", "CPU", memories[at], float(speeds[at])) for at in range(num_stages)]
    sums = Sums(sizes)
    if num_stages > len([cut for cut in legal if cut < num_layers]) + 1:
        return

    def slowest(cuts: list[Range]) -> Fraction:
        return max(Fraction(sums.read_bytes(*cut), speeds[stage]) for stage, cut in enumerate(cuts))

    def moves(cuts: list[Range]) -> tuple[int, int]:
        """Layer by layer, the embedding with the first one and the head with the last one."""
        moved = loaded = 0
        for (first, end), has in zip(cuts, held, strict=True):
            parts = {layer: sizes.layer_bytes[layer] for layer in range(first, end)}
            if first == 0:
                parts[0] += sizes.embed_bytes
            if end == num_layers:
                parts[num_layers - 1] += sizes.head_bytes
            moved += sum(size for layer, size in parts.items() if not any(a <= layer < b for a, b in has))
            loaded += 0 if (first, end) in has else sum(parts.values())
        return moved, loaded

    everything = [
        list(itertools.pairwise([0, *inner, num_layers]))
        for inner in itertools.combinations([cut for cut in legal if cut < num_layers], num_stages - 1)
    ]
    possible = [
        cuts for cuts in everything if all(sums.need_bytes(*cut) <= memories[stage] for stage, cut in enumerate(cuts))
    ]
    if not possible:
        with pytest.raises(CapacityError):
            place(on, sizes, num_stages, legal, headroom=0.0, held=held, slack=slack)
        return
    plan = place(on, sizes, num_stages, legal, headroom=0.0, held=held, slack=slack)
    found = list(itertools.pairwise(plan.bounds))
    bound = Fraction(1 + slack) * min(map(slowest, possible))
    assert found in possible
    assert slowest(found) <= bound
    assert moves(found) == min(moves(cuts) for cuts in possible if slowest(cuts) <= bound)
