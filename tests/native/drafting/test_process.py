"""The process of the model that drafts: it answers while nobody waits, and its end harms nobody."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import UnreachableError
from cluster.api.sampling import SamplingParams
from cluster.coordinator.drafting import drafter as drafter_module
from cluster.coordinator.drafting.drafter import MOST_DEATHS, ModelDrafter
from cluster.engine.drafting.drafter import RemoteDrafter
from cluster.engine.sequence import Sequence
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.wire_backends import no_thread_left, wait_until
from tests.native.drafting.test_follower import greedy

CONTEXT = 64
MODEL = TinyModel(num_layers=2)


class Woken:
    """Counts."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self) -> None:
        self.event.set()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "m.gguf", MODEL)


def made(path: Path, woken: Woken, vocab_size: int = MODEL.vocab_size) -> ModelDrafter:
    options: dict[str, Any] = {"path": str(path), "n_ctx": CONTEXT, "n_slots": 2, "n_batch": 32, "n_ubatch": 32}
    return ModelDrafter("tiny", vocab_size, 2, CONTEXT, lambda: options, wake=woken)


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def drafter(path: Path, woken: Woken) -> Iterator[ModelDrafter]:
    with no_thread_left():
        found = made(path, woken)
        assert found.rate(sequence(1, 2)) == 0.0, "nothing is guessed before it is loaded"
        assert found.state == "tiny, which is being loaded"
        found.start()
        wait_until(lambda: found.state == "tiny", 60)
        yield found
        found.close()


def sequence(*prompt: int, request_id: int = 1) -> Sequence:
    return Sequence(request_id, prompt, SamplingParams(seed=1))


def answered(drafter: ModelDrafter, woken: Woken, asked: list[Sequence], length: int) -> list[list[int]]:
    woken.event.clear()
    drafter.ask(asked, length)
    assert woken.event.wait(30)
    return [list(drafter.draft(one, length)) for one in asked]


def test_guesses_are_there_a_while_after_they_were_asked_for(path: Path, drafter: ModelDrafter, woken: Woken) -> None:
    assert isinstance(drafter, RemoteDrafter)
    one, other = sequence(1, 7, 9), sequence(4, 5, request_id=2)
    assert drafter.rate(one) > 0
    assert drafter.draft_s(1, 4) == pytest.approx(4 * drafter.draft_s(1, 1))
    assert answered(drafter, woken, [one, other], 4) == [greedy(path, [1, 7, 9], 4), greedy(path, [4, 5], 4)]
    assert drafter.num_known(one) == 4
    assert drafter.wait_s() == 0.0
    right, other_right = drafter.draft(one, 2)
    one.log.append(right)
    assert drafter.num_known(one) == 3
    one.log.append((other_right + 1) % 200)
    assert drafter.num_known(one) == 0
    assert answered(drafter, woken, [one], 2) == [greedy(path, one.log, 2)]
    for ended in (1, 2, 3):
        drafter.forget(ended)


def test_a_long_text_is_read_and_not_waited_for(path: Path, drafter: ModelDrafter, woken: Woken) -> None:
    long = sequence(*range(1, 51))
    woken.event.clear()
    drafter.ask([long], 3)
    assert drafter.wait_s() == 0.0
    assert woken.event.wait(30)
    assert drafter.num_known(long) == 0
    long.log.append(9)
    assert answered(drafter, woken, [long], 3) == [greedy(path, long.log, 3)]
    long.log += [1] * (CONTEXT - len(long.log))
    assert drafter.rate(long) == 0.0, "its slot would be full"


def test_one_that_died_is_loaded_again(path: Path, drafter: ModelDrafter, woken: Woken) -> None:
    one = sequence(1, 2)
    for _ in range(MOST_DEATHS + 1):  # with answers between
        assert answered(drafter, woken, [one], 2) == [greedy(path, one.log, 2)]
        kill(drafter)
        drafter.ask([one], 2)
        wait_until(lambda: drafter.wait_s() == 0.0 and drafter.rate(one) == 0.0, 30)
        wait_until(lambda: drafter.rate(one) > 0, 60)
        one.log.append(9)


def test_one_that_always_dies_is_given_up(path: Path, woken: Woken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafter_module, "PAUSE_S", 0.01)
    with no_thread_left():
        found, one = made(path, woken), sequence(1, 2)
        found.start()
        while not found.state.startswith("off"):
            wait_until(lambda: found.rate(one) > 0 or found.state.startswith("off"), 60)
            kill(found)
            found.ask([one], 2)
        assert found.state.startswith("off: tiny drafts no more: child: it died of SIGKILL")
        assert (found.num_known(one), found.rate(one)) == (0, 0.0)
        found.ask([one], 2)
        assert found.wait_s() == 0.0
        found.close()


def kill(drafter: ModelDrafter) -> None:
    assert drafter.pid is not None
    with suppress(ProcessLookupError):  # it has just been given up
        os.kill(drafter.pid, signal.SIGKILL)


def test_one_that_stands_still_is_not_waited_for_long(path: Path, drafter: ModelDrafter, woken: Woken) -> None:
    one = sequence(1, 2)
    assert drafter.pid is not None
    os.kill(drafter.pid, signal.SIGSTOP)
    woken.event.clear()
    drafter.ask([one], 2)
    began_s = time.monotonic()
    while drafter.wait_s() > 0:
        assert time.monotonic() - began_s < 5
        time.sleep(0.001)
    assert drafter.rate(one) == 0.0, "what was asked has yet to be answered"
    os.kill(drafter.pid, signal.SIGCONT)
    assert woken.event.wait(30)
    assert list(drafter.draft(one, 2)) == greedy(path, [1, 2], 2), "late, and still right"
    assert drafter.rate(one) > 0


def test_what_cannot_be_loaded_is_told(path: Path, woken: Woken, tmp_path: Path) -> None:
    def unreachable() -> dict[str, Any]:
        raise UnreachableError("hub: no answer")

    with no_thread_left():
        for found, why in (
            (made(tmp_path / "none.gguf", woken), "none.gguf"),
            (made(path, woken, 7), "are not the 7 of the model"),
            (ModelDrafter("tiny", 7, 1, 8, unreachable, wake=woken), "hub: no answer"),
        ):
            found.start()
            wait_until(lambda found=found: found.state.startswith("off"), 60)  # type: ignore[misc]
            assert why in found.state
            found.close()
