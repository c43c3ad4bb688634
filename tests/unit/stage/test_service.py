"""A real stage with the shipped model: loading twice, failing, and errors in the middle of a step."""

from __future__ import annotations

import dataclasses
import queue
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from cluster.actors.shells.stage_worker import StageWorker
from cluster.api.sampling import SamplingParams
from cluster.demo import model_path
from cluster.messages.stage import StageFailure, Wiring
from cluster.messages.step import Microbatch, SlotSampling, SlotStart, StepId, StepResult
from cluster.node.secret import write_secret
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.served import lent
from cluster.sources.source import FilePart, ModelSource
from cluster.stage.loading import load_stage
from cluster.stage.service import StageService
from cluster.stage.spec import GgufOptions, StageSpec
from cluster.wire.access.keys import Keys
from cluster.wire.codec.event import Event
from cluster.wire.stage.event_watch import EventWatch
from cluster.wire.stage.link import StageLink
from tests.fakes.wire_backends import SECRET, endpoint, make_batch, make_hello, wait_until

SOURCE = resolve(str(model_path()))
SPEC = StageSpec(
    stage=0,
    num_stages=1,
    node="localhost",
    source=SOURCE,
    model_hash=open_model(SOURCE).hash,
    first=0,
    end=8,
    device="CPU",
    context_length=32,
    num_slots=2,
    ubatch_size=16,
    num_threads=1,
    num_threads_exclusive=2,
    first_core=None,
    options=GgufOptions("f16", "f16", "auto"),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def node_home(tmp_path: Path) -> str:
    write_secret(tmp_path / "secret", SECRET)
    return str(tmp_path)


def computing() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "compute"}


@pytest.fixture
def num_computing() -> Callable[[], int]:
    """Counts the threads of this test's stages: clusters that tests of HTTP share stay until the end of the run."""
    others = computing()
    return lambda: len(computing() - others)


def test_it_loads_once_however_often_it_is_asked(node_home: str, num_computing: Callable[[], int]) -> None:
    """An `up` that was interrupted while it repaired, and the next one, ask the same stage."""
    worker = StageWorker(SPEC, node_home)
    for _ in range(3):
        worker.load()
    wait_until(lambda: worker.progress().phase in ("ready", "failed"), 60)
    worker.load()
    assert worker.progress().phase == "ready"
    assert num_computing() == 1
    worker.stop()
    wait_until(lambda: num_computing() == 0)


def test_a_stage_that_failed_to_load_forgets_that_when_it_is_asked_again(tmp_path: Path, node_home: str) -> None:
    source, (part,) = tmp_path / "model.gguf", SOURCE.parts
    assert isinstance(part, FilePart)
    moved = ModelSource(str(source), (dataclasses.replace(part, path=str(source)),))
    worker = StageWorker(dataclasses.replace(SPEC, source=moved), node_home)
    worker.load()
    wait_until(lambda: worker.progress().phase == "failed", 60)
    assert str(source) in str(worker.progress().error)
    shutil.copy(part.path, source)
    worker.load()
    assert worker.progress().error is None
    wait_until(lambda: worker.progress().phase in ("ready", "failed"), 60)
    assert worker.progress().error is None
    worker.stop()


def test_a_stage_loads_layers_of_a_file_that_only_another_node_has(node_home: str) -> None:
    (part,) = SOURCE.parts
    assert isinstance(part, FilePart)
    missing = ModelSource("/elsewhere.gguf", (dataclasses.replace(part, path="/elsewhere.gguf"),))
    with lent(missing, open_model(SOURCE), Keys(SECRET)) as source:
        worker = StageWorker(dataclasses.replace(SPEC, source=source, num_stages=2, stage=1, first=3), node_home)
        worker.load()
        wait_until(lambda: worker.progress().phase in ("ready", "failed"), 60)
    assert worker.progress().error is None
    loaded = worker.progress().loaded
    assert loaded is not None
    assert (loaded.facts.first, loaded.facts.end) == (3, 8)
    worker.stop()


def test_an_error_of_any_kind_in_a_step_is_told_and_the_next_epoch_works() -> None:
    service = StageService(SPEC, load_stage, Keys(SECRET))
    service.start_loading()
    wait_until(lambda: service.progress().loaded is not None, 60)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    for epoch in (1, 2):
        hello = make_hello(
            epoch=epoch, stage=0, num_stages=1, first=0, end=8, num_slots=2, context_length=32, hidden_width=1
        )
        address = service.wire(Wiring(hello))
        watch, link = (
            EventWatch(endpoint(address), hello, events.put, _fail),
            StageLink(endpoint(address), hello, _fail),
        )
        watch.open()
        link.open()
        batch = make_batch(step=1, epoch=epoch)
        if epoch == 1:
            # Past the checks of the wire: what the native side refuses with a TypeError.
            service.submit(dataclasses.replace(batch, tokens=None), None, 0)  # type: ignore[arg-type]  # the point
            failure = next_of(events, StageFailure)
            assert (failure.stage, failure.epoch) == (0, 1)
            assert "\n" not in failure.reason
        else:
            service.submit(_one_row(epoch), None, 0)
            assert next_of(events, StepResult).id.epoch == 2
        watch.close()
        link.close()
    service.stop()


def test_it_describes_itself_in_the_middle_of_a_step() -> None:
    service = StageService(SPEC, load_stage, Keys(SECRET))
    service.start_loading()
    wait_until(lambda: service.progress().loaded is not None, 60)
    hello = make_hello(epoch=1, stage=0, num_stages=1, first=0, end=8, num_slots=2, context_length=32, hidden_width=1)
    service.wire(Wiring(hello))
    service.accept(hello)
    for step in range(200):  # as fast as it can, so that it is computing nearly always
        start = SlotStart(0, 0, 0)
        service.submit(dataclasses.replace(_one_row(1), id=StepId(1, 0, step), slot_starts=(start,)), None, 0)
        assert service.describe().weight_bytes > 0
    service.stop()


def test_a_step_that_was_sent_ahead_computes_the_token_that_the_one_before_drew(
    num_computing: Callable[[], int],
) -> None:
    """Once with tokens that are known, once with all steps sent at once; then an epoch ends one that waits."""
    service = StageService(SPEC, load_stage, Keys(SECRET))
    service.start_loading()
    wait_until(lambda: service.progress().loaded is not None, 60)
    texts = []
    for epoch, is_ahead in ((1, False), (2, True)):
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        hello = make_hello(
            epoch=epoch, stage=0, num_stages=1, first=0, end=8, num_slots=2, context_length=32, hidden_width=1
        )
        watch = EventWatch(endpoint(service.wire(Wiring(hello))), hello, events.put, _fail)
        watch.open()
        tokens = [7]
        for step in range(5):
            is_pending = is_ahead and step > 0
            row = _pending_row(epoch, step, step - 1) if is_pending else _greedy_row(epoch, step, tokens[-1])
            service.submit(row, None, 0)
            if not is_ahead:
                tokens.append(next_of(events, StepResult).sampled[0].token)
        if is_ahead:
            tokens += [next_of(events, StepResult).sampled[0].token for _ in range(5)]
            service.submit(_pending_row(epoch, 9, 8), None, 0)  # no step 8 will ever be answered
        texts.append(tokens)
        watch.close()
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 2, "the text says something"
    service.accept(dataclasses.replace(hello, epoch=3))
    service.stop()
    wait_until(lambda: num_computing() == 0)


def _pending_row(epoch: int, step: int, after: int) -> Microbatch:
    return dataclasses.replace(_greedy_row(epoch, step, 0), after=after, pending=np.zeros(1, np.int32))


def _greedy_row(epoch: int, step: int, token: int) -> Microbatch:
    changes: dict[str, object] = {
        "tokens": np.array([token], np.int32),
        "positions": np.array([step], np.int32),
        "slot_starts": () if step else (SlotStart(0, 0, 0),),
        "new_sampling": () if step else (SlotSampling(0, SamplingParams(temperature=0.0, seed=1), 1),),
    }
    return make_batch(step, 1, epoch, **changes)


def _one_row(epoch: int) -> Microbatch:
    nothing = np.empty(0, np.int32)
    return make_batch(step=1, num_rows=1, epoch=epoch, samples=nothing, wants_logits=np.zeros(1, np.bool_))


def _fail(reason: str) -> None:
    raise AssertionError(reason)


Kind = TypeVar("Kind", StageFailure, StepResult)


def next_of(events: queue.SimpleQueue[Event], kind: type[Kind]) -> Kind:
    while not isinstance(event := events.get(timeout=10), kind):
        continue
    return event
