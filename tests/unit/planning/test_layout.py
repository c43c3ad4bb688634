"""Layouts and advice on a real header, with devices whose memory is invented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, UsageError
from cluster.config import ClusterConfig
from cluster.engine.cost.forecast import Forecast
from cluster.planning.advice import advise, largest
from cluster.planning.inventory import Inventory, take_inventory
from cluster.planning.layout import Layouts
from cluster.planning.measure.dry_run import Context, DryRun
from cluster.planning.search.placement import DeviceOffer
from cluster.planning.whole import WholeReport
from cluster.sources.adapter import read_adapter_part
from cluster.synthetic.model import Shape, write_model
from tests.fakes.adapters import matrices_of, write_adapter

MIB = 2**20
SPEED = Forecast(1.0, 2.0, 2, 2, False, 0, "computing")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    write_model(path, Shape(12, 256, 8, 8, 704), "Q8_0")
    return path


@pytest.fixture(scope="module")
def found(model: Path) -> Inventory:
    return take_inventory(
        ClusterConfig(str(model), stages=2, devices=("CPU", "CPU"), ctx_size=4096, parallel=4, ubatch_size=32)
    )


@pytest.fixture(scope="module")
def layouts(found: Inventory) -> Iterator[Layouts]:
    with DryRun(found.model) as dry_run:
        yield Layouts(found, dry_run)


def asking(found: Inventory, layouts: Layouts, **settings: object) -> Layouts:
    """The same model, with other settings."""
    config = replace(found.config, **settings)  # type: ignore[arg-type]
    return Layouts(replace(found, config=config), layouts._dry_run)


def nodes(*mib: int, speed: float | None = None) -> list[DeviceOffer]:
    return [DeviceOffer(f"n{number}", "CPU", size * MIB, speed) for number, size in enumerate(mib)]


def test_every_stage_takes_what_was_measured_and_fits(found: Inventory, layouts: Layouts) -> None:
    layout = layouts.lay_out(nodes(300, 300), found.context)
    assert layout.fits
    assert layout.plan.bounds[0] == 0
    assert layout.plan.bounds[-1] == 12
    for memory, usable in zip(layout.memory, layout.usable_bytes, strict=True):
        assert memory.total_bytes <= usable == 270 * MIB


def test_a_smaller_device_gets_fewer_layers(found: Inventory, layouts: Layouts) -> None:
    even = layouts.lay_out(nodes(300, 300, speed=1e9), found.context).plan.bounds
    uneven = layouts.lay_out(nodes(120, 400, speed=1e9), found.context).plan.bounds
    assert uneven[1] < even[1]


def test_what_does_not_fit_is_laid_out_only_when_asked(found: Inventory, layouts: Layouts) -> None:
    with pytest.raises(CapacityError, match=r"^memory: the model does not fit: stage 0 needs .* n0/CPU has 90\.0 MiB"):
        layouts.lay_out(nodes(100, 100), found.context)
    assert not layouts.lay_out(nodes(100, 100), found.context, within_memory=False).fits


def test_asked_layers_and_shares_are_kept(found: Inventory, layouts: Layouts) -> None:
    at = asking(found, layouts, stages=None, layers="0-2,3-11")
    assert at.lay_out(nodes(999, 999), found.context).ranges == ((0, 3), (3, 12))
    shared = asking(found, layouts, stages=None, tensor_split="3,1")
    assert shared.lay_out(nodes(999, 999), found.context).ranges == ((0, 9), (9, 12))
    with pytest.raises(CapacityError):
        at.lay_out(nodes(999, 100), found.context)
    with pytest.raises(UsageError, match="they end at 10, the model's last is 11"):
        asking(found, layouts, stages=None, layers="0-2,3-10").lay_out(nodes(999, 999), found.context)


def numbers(pattern: str, lines: tuple[str, ...]) -> list[int]:
    for line in lines:
        if match := re.search(pattern, line):
            return [int(number) for number in match.groups()]
    raise AssertionError(f"no line of {lines} says {pattern}")


def test_advice_is_true_to_the_number(found: Inventory, layouts: Layouts) -> None:
    """Each change makes it fit, and a little less of it does not."""
    offers, context = nodes(110, 110), found.context
    layout = layouts.lay_out(offers, context, within_memory=False)
    lines = advise(found, layouts, offers, layout, SPEED, ())

    def fits(**changes: object) -> bool:
        return layouts.fits(offers, replace(context, **changes))  # type: ignore[arg-type]

    (tokens,) = numbers(r"--ctx-size (\d+) instead of 4096", lines)
    assert fits(n_ctx=tokens)
    assert not fits(n_ctx=tokens + 64)
    (slots,) = numbers(r"-np (\d) instead of 4", lines)
    assert fits(n_slots=slots)
    assert not fits(n_slots=slots + 1)
    (stages, more) = numbers(r"in (\d+) stages with (\d+) more nodes? of 0\.11 GiB", lines)
    assert stages == 2 + more
    assert layouts.fits([*offers, *nodes(*[110] * more)], context) is False  # the same names: the same devices
    added = [DeviceOffer(f"more{number}", "CPU", 110 * MIB) for number in range(more)]
    assert layouts.fits([*offers, *added], context)
    assert not layouts.fits([*offers, *added[:-1]], context)
    assert any("-ctk q8_0 -ctv q8_0 instead of f16 and f16" in line for line in lines) is fits(
        type_k="q8_0", type_v="q8_0"
    )


def test_where_nothing_helps_it_says_what_is_missing(found: Inventory, layouts: Layouts) -> None:
    offers = nodes(1, 1)
    layout = layouts.lay_out(offers, found.context, within_memory=False)
    (line,) = advise(found, layouts, offers, layout, SPEED, ())
    assert re.match(r"memory: 0\.[1-9]\d GiB are missing in all; .* \(12 stages are the most\)", line)


def wholes(offers: list[DeviceOffer], one: float, all_slots: float) -> tuple[WholeReport, ...]:
    return tuple(WholeReport(offer.node, "CPU", 300 * MIB, 810 * MIB, one, all_slots) for offer in offers)


def test_what_fits_on_one_device_is_served_whole_where_that_is_faster(found: Inventory, layouts: Layouts) -> None:
    offers = nodes(900, 900)
    layout = layouts.lay_out(offers, found.context)
    whole = wholes(offers, 11.0, 22.0)
    (line,) = advise(found, layouts, offers, layout, SPEED, whole)
    assert line.startswith("serve it whole: it takes 0.29 GiB and fits on n0/CPU")
    assert "with --devices n0:CPU, or as 2 replicas, one on each device. That is faster" in line
    assert "for one request (11.0 tokens/s instead of 1.0) and with all slots (22.0 tokens/s instead of 2.0)" in line
    too_big = tuple(replace(item, total_bytes=900 * MIB) for item in whole)
    assert advise(found, layouts, offers, layout, SPEED, too_big) == ()


def test_the_advice_follows_from_the_figures_that_it_shows(found: Inventory, layouts: Layouts) -> None:
    offers = nodes(900, 900)
    layout = layouts.lay_out(offers, found.context)
    (line,) = advise(found, layouts, offers, layout, SPEED, wholes(offers, 0.5, 3.0))
    assert line.endswith(
        "That is faster with all slots (3.0 tokens/s instead of 2.0); not for one request (0.5 tokens/s instead of 1.0)"
    )
    (line,) = advise(found, layouts, offers, layout, SPEED, wholes(offers, 1.5, 2.0))
    assert "That is faster for one request (1.5 tokens/s instead of 1.0); not with all slots (2.0" in line
    for one, all_slots in ((0.5, 1.5), (1.0, 2.0), (1.04, 2.04)):
        assert advise(found, layouts, offers, layout, SPEED, wholes(offers, one, all_slots)) == ()


def test_largest_is_a_search_over_what_fits() -> None:
    assert [largest(10, lambda n, limit=limit: n <= limit) for limit in (0, 1, 5, 10, 99)] == [0, 1, 5, 10, 10]  # type: ignore[misc]


def test_a_cut_that_is_not_legal_names_those_beside_it(found: Inventory, layouts: Layouts) -> None:
    odd = replace(found, cuts=(2, 4, 8), config=replace(found.config, stages=None, layers="0-4,5-11"))
    with pytest.raises(UsageError, match=r"cannot be cut exactly before layer 5; near are 4 and 8|near are 2 and 4"):
        Layouts(odd, layouts._dry_run).lay_out(nodes(999, 999), found.context)


def test_kv_types_are_in_the_figures(found: Inventory, layouts: Layouts) -> None:
    small = Context(**{**{name: getattr(found.context, name) for name in Context.__slots__}, "type_k": "q8_0"})
    plain, packed = (layouts.lay_out(nodes(999, 999), context).memory[0].kv_bytes for context in (found.context, small))
    assert packed == pytest.approx(plain * (34 / 64 + 1) / 2)


def test_adapters_count_where_their_layers_are(model: Path, found: Inventory, tmp_path: Path) -> None:
    layers = found.model.num_layers
    of_end = {name: values for name, values in matrices_of(model, rank=512).items() if f"blk.{layers - 1}." in name}
    adapter = write_adapter(tmp_path / "a.gguf", model, of_end)
    adapted = take_inventory(replace(found.config, lora=(str(adapter),)))
    (added,) = adapted.adapters
    ranges = ((0, layers // 2), (layers // 2, layers), (0, layers))
    with DryRun(found.model) as bare, DryRun(found.model, [added.adapter]) as dry_run:
        more = []
        for first, end in ranges:
            with_it, without = (one.measure(first, end, "CPU", found.context) for one in (dry_run, bare))
            more.append(with_it.weight_bytes - without.weight_bytes)
            assert with_it.total_bytes - without.total_bytes == more[-1]
        assert more == [len(read_adapter_part(added.source, found.model, *part)) for part in ranges]
        assert more[0] == 0 < more[1]
        sizes = Layouts(adapted, dry_run).layer_sizes(found.context, ["CPU", "CPU"])
        plain = Layouts(found, bare).layer_sizes(found.context, ["CPU", "CPU"])
        grown = [one - other for one, other in zip(sizes.layer_bytes, plain.layer_bytes, strict=True)]
        assert grown[:-1] == [0] * (layers - 1)
        assert grown[-1] == sum(values.nbytes for values in of_end.values())
        # What just fits without it does not with it.
        layout = Layouts(found, bare).lay_out(nodes(300, 300), found.context)
        taken = sum(memory.total_bytes for memory in layout.memory)
        usable = replace(found, config=replace(found.config, headroom=0.0))
        short = [DeviceOffer("n", "CPU", taken + more[1] // 2)] * 2
        assert Layouts(usable, bare).fits(short, found.context)
        tight = replace(adapted, config=replace(adapted.config, headroom=0.0))
        assert not Layouts(tight, dry_run).fits(short, found.context)
