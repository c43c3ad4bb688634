"""Programs in slices over real stages and streams: equal to the bit, overlapping, and unharmed by what is sent."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cluster
from cluster.api.errors import CapacityError, ClusterError, UnsupportedModelError, UsageError
from cluster.messages.stage import StageFailure
from tests.fakes.wire_backends import SECRET, wait_until
from tests.native.programs.models import WIDTH, layers, lookup, saved
from tests.native.programs.serving import ServedProgram, served_program

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def served(cache: Path) -> Iterator[ServedProgram]:
    with served_program(saved(layers(6), cache / "layers.ggp"), 3) as found:
        yield found


@pytest.fixture
def client(served: ServedProgram) -> Iterator[cluster.Client]:
    with served.client() as connected:
        yield connected


def example(batch: int = 2) -> np.ndarray:
    return RNG.standard_normal((batch, WIDTH), np.float32)


def test_split_equals_whole(client: cluster.Client) -> None:
    whole = layers(6)
    for batch in (1, 2, 7, 300):
        x = example(batch)
        assert np.array_equal(client.run(x=x)["output"], whole(x).numpy())
        assert np.array_equal(client.run({"x": x})["output"], whole(x).numpy())


def test_arrays_longer_than_a_message(cache: Path) -> None:
    whole = layers(2, width=1024)
    with served_program(saved(whole, cache / "wide.ggp"), 2) as found, found.client() as client:
        x = RNG.standard_normal((3000, 1024), np.float32)
        assert np.array_equal(client.run(x=x)["output"], whole(x).numpy())


def test_calls_overlap(cache: Path) -> None:
    with served_program(saved(layers(6, width=512), cache / "large.ggp"), 3) as found:
        x = RNG.standard_normal((256, 512), np.float32)

        async def eight() -> list[Any]:
            async with cluster.AsyncClient(found.address, SECRET.for_clients.text) as client:
                return await asyncio.gather(*[client.run(x=x) for _ in range(8)])

        answers = asyncio.run(eight())
        assert all(np.array_equal(one["output"], answers[0]["output"]) for one in answers)
        with found.client() as client:
            wait_until(lambda: len(client.intervals()) >= 27, 20)
            steps = [one for one in client.intervals() if one.id.step > 0]  # the first is that of the start
        by_stage = [[(one.start_ns, one.end_ns) for one in steps if one.stage == stage] for stage in range(3)]
        shared = sum(
            max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in by_stage[0] for b in [*by_stage[1], *by_stage[2]]
        )
        assert shared > 0, "one call was computed after the other"


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({}, "'x' is missing; the program takes x: float32 \\(batch, 16\\)"),
        ({"x": np.zeros((2, WIDTH)), "y": np.zeros(1)}, "float64, which no program takes; convert it: .astype"),
        ({"x": np.zeros((2, WIDTH), np.int32)}, "x is int32; the program takes float32"),
        ({"x": np.zeros((2, 5), np.float32)}, r"got \(2, 5\); expected x of the shape \(batch, 16\)"),
        ({"x": np.zeros((0, WIDTH), np.float32)}, r"got 0; expected x.shape\[0\] within \[1, 4096\]"),
        ({"x": np.zeros((5000, WIDTH), np.float32)}, r"got 5000; expected x.shape\[0\] within \[1, 4096\]"),
        ({"x": "text"}, "which no program takes"),
        ({"x": np.zeros((2, WIDTH), np.float32), "z": np.zeros(1, np.float32)}, "'z' is none of its inputs"),
    ],
)
def test_other_arrays_are_refused(client: cluster.Client, arrays: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        client.run(arrays)
    assert client.run(x=example())["output"].shape == (2, WIDTH)


def test_an_array_given_twice(client: cluster.Client) -> None:
    with pytest.raises(UsageError, match="x is given twice"):
        client.run({"x": example()}, x=example())
    with pytest.raises(UsageError, match="no dict of arrays"):
        client.run(example())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="1 is no name of an array; names are texts"):
        client.run({1: example()})  # type: ignore[dict-item]


def test_it_makes_no_text(client: cluster.Client) -> None:
    for ask in (
        lambda: client.generate("Once"),
        lambda: client.generate([1, 2]),
        lambda: client.logits([1]),
        lambda: client.tokenize("Once"),
        lambda: client.vocabulary(),
    ):
        with pytest.raises(UnsupportedModelError, match="is a program, which makes no text; ask it to run"):
            ask()
    info, status = client.model(), client.status()
    assert info.metadata["program.inputs"] == "x: float32 (batch, 16)"
    assert info.metadata["program.outputs"] == "output: float32 (batch, 16)"
    assert status.is_program
    assert [stage.first for stage in status.stages][:1] == [0]
    assert client.adapters() == ()
    assert client.slots() == ()


def test_a_call_that_fails_harms_no_other(cache: Path) -> None:
    whole = lookup()
    with served_program(saved(whole, cache / "lookup.ggp"), 2) as found, found.client() as client:
        good = np.array([[0, 1, 31], [5, 5, 5]])
        bad = np.array([[0, 1, 32], [-1, 5, 1 << 40]])
        wanted = whole(good).numpy()

        def ask(place: int) -> Any:
            try:
                return client.run(ids=bad if place % 3 == 0 else good)["output"]
            except ClusterError as error:
                return error

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ask, range(60)))
        for place, answer in enumerate(answers):
            if place % 3 == 0:
                assert isinstance(answer, UsageError)
                assert "32" in str(answer) or "out of range" in str(answer)
            else:
                assert np.array_equal(answer, wanted)
        assert client.status().state == "ready"


def test_a_call_that_is_too_large(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served_program(saved(layers(3), cache / "small.ggp"), 2) as found, found.client() as client:
        for stage in found.stages:
            assert stage._runner is not None
            monkeypatch.setattr(stage._runner.model, "_call_bytes", 100_000)
        with pytest.raises(CapacityError, match=r"takes .* MiB on stage 0, which has .* MiB for it; give smaller"):
            client.run(x=example(4096))
        assert client.run(x=example())["output"].shape == (2, WIDTH)
        for batch in range(1, 60):  # the graphs of all shapes together have no more than one call may have
            assert client.run(x=example(4 * batch))["output"].shape == (4 * batch, WIDTH)
        for stage in found.stages:
            assert stage._runner is not None
            assert 1 <= stage._runner.model._slice.num_recordings < 20


def test_calls_wait_for_a_lost_stage(served: ServedProgram, client: cluster.Client) -> None:
    before = client.run(x=np.ones((2, WIDTH), np.float32))["output"]
    epoch = served.coordinator.epoch
    # All that runs here is one process, and what other tests left in it may have held up its collections for seconds.
    wait_until(lambda: served.coordinator._pipeline._pulse.stood_still_s() == 0, 20)
    served.coordinator._engine.fail(StageFailure(1, epoch, "a test says so"))
    assert np.array_equal(client.run(x=np.ones((2, WIDTH), np.float32))["output"], before)
    status = client.status()
    assert (status.state, status.num_recoveries >= 1) == ("ready", True)
    assert served.coordinator.epoch > epoch


def test_hostile_calls(served: ServedProgram, client: cluster.Client) -> None:
    """1,000 calls of any arrays at all: each is answered, or refused with an error of ours, and nothing grows."""
    draw = random.Random(0)
    dtypes = ("float32", "int32", "int64", "bool", "float16", "float64", "uint8", "complex64", "<U3")
    num_answered = 0
    for number in range(1000):
        if number == 100:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        name = draw.choice(["x", "x", "x", "x", "y", "", "value.3", "\u2603" * 300])
        shape = tuple(draw.choice([0, 1, 2, 3, 16, 16, 16, 40]) for _ in range(draw.choice([2, 2, 2, 0, 1, 3, 9])))
        array = np.zeros(shape if np.prod(shape) < 1 << 20 else (2, 2), draw.choice(dtypes))
        if draw.random() < 0.1:
            array = np.zeros((draw.randint(1, 3), WIDTH), np.float32)
        if array.dtype.kind == "f" and draw.random() < 0.3:
            array.fill(draw.choice([np.inf, np.nan, 1e4]))
        try:
            made = client.run({name: array})
            assert made["output"].shape == array.shape
            num_answered += 1
        except UsageError:
            pass
    assert num_answered > 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB
    assert client.status().state == "ready"
    assert client.run(x=example())["output"].shape == (2, WIDTH)
