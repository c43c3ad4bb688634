"""A coordinator with real stages in this process: what breaks without a stage being dead is put right by itself."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest

import cluster
from cluster.api.errors import HandshakeError, StageLostError, UnreachableError, UsageError
from cluster.api.model import TokenKind
from cluster.api.sampling import RANGES
from cluster.client.calls import Specials, generate_call
from cluster.coordinator.pulse import REMEMBERED_S, STANDSTILL_S, Pulse
from cluster.coordinator.recovery import Recovery
from cluster.coordinator.service import CoordinatorService
from cluster.coordinator.spec import CoordinatorSpec, StageEndpoint
from cluster.messages.stage import PROTOCOL_VERSION, Hello, StageAddress, StageFailure, Wiring
from cluster.sources.opening import open_model
from cluster.stage.loading import load_stage
from cluster.stage.service import StageService
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.keys import Keys
from cluster.wire.stage.wiring import wirings
from protos import sampling_pb2
from tests.fakes.wire_backends import SECRET, make_batch, no_thread_left, wait_until
from tests.unit.stage.test_service import SOURCE, SPEC

NUM_LAYERS, CONTEXT, NUM_SLOTS = 8, 64, 4
ENDLESS = cluster.SamplingParams(max_tokens=None, ignore_eos=True, seed=3)


@dataclass
class Cluster:
    """Two stages and their coordinator, wired as `cluster up` does it."""

    coordinator: CoordinatorService
    stages: list[StageService]
    address: str
    epoch: int  # the first one

    def hello(self, stage: int, epoch: int) -> Hello:
        ready = self.stages[stage].progress().loaded
        assert ready is not None, self.stages[stage].progress().error
        facts = ready.facts
        return Hello(
            PROTOCOL_VERSION,
            open_model(SOURCE).hash,
            ready.build,
            epoch,
            stage,
            2,
            facts.first,
            facts.end,
            ready.hidden_width,
            "f32",
            NUM_SLOTS,
            CONTEXT,
        )

    def wire(self, epoch: int) -> None:
        hellos = [self.hello(stage, epoch) for stage in range(2)]
        last = StageAddress(self.stages[1].wire(Wiring(hellos[1])), hellos[1])
        addresses = [self.stages[0].wire(Wiring(hellos[0], last, last)), last.address]
        loaded = [stage.progress().loaded for stage in self.stages]
        self.coordinator.wire(
            epoch,
            tuple(
                StageEndpoint(address, hello, ready.facts, ready.costs)
                for address, hello, ready in zip(addresses, hellos, loaded, strict=True)
                if ready is not None
            ),
        )

    def break_epoch(self, stage: int) -> None:
        """A step that no rule lets through, past the checks of the wire: the stage gives the epoch up."""
        batch = make_batch(epoch=self.stages[stage].wired_epoch)
        self.stages[stage].submit(dataclasses.replace(batch, tokens=None), None, 0)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[StageService]]:
    """Loaded once; each test wires them for epochs of its own."""
    with pytest.MonkeyPatch.context() as monkeypatch, no_thread_left(), ExitStack() as stack:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        spec = dataclasses.replace(
            SPEC, num_stages=2, end=4, context_length=CONTEXT, num_slots=NUM_SLOTS, num_threads_exclusive=1
        )
        keys = Keys(SECRET).for_stages
        loading = [
            StageService(dataclasses.replace(spec, stage=stage, first=first, end=end), load_stage, keys)
            for stage, first, end in ((0, 0, 4), (1, 4, NUM_LAYERS))
        ]
        for stage in loading:
            stack.callback(stage.stop)
            stage.start_loading()
        wait_until(lambda: all(stage.progress().phase in ("ready", "failed") for stage in loading), 60)
        yield loading


@pytest.fixture
def served(stages: list[StageService], request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Requests are held for as many seconds as the fixture's parameter says; not at all without one."""
    spec = CoordinatorSpec(
        "demo", SOURCE, open_model(SOURCE).hash, "llama", CONTEXT, NUM_SLOTS, 2, 16, 8, True, "127.0.0.1", 0
    )
    coordinator = CoordinatorService(
        dataclasses.replace(spec, patience_s=getattr(request, "param", 0.0)),
        Keys(SECRET),
        Listener(SECRET.for_clients),
    )
    found = Cluster(coordinator, stages, coordinator.start(), 1 + max(stage.wired_epoch for stage in stages))
    try:
        found.wire(found.epoch)
        yield found
    finally:
        coordinator.stop()


def test_clients_learn_of_the_model(served: Cluster) -> None:
    with cluster.connect(served.address, SECRET.for_clients.text) as client:
        info, table = client.model(), client.vocabulary()
    assert (info.name, info.architecture, info.context_length) == ("demo", "llama", CONTEXT)
    assert (info.metadata["general.architecture"], info.hidden_width > 0) == ("llama", True)
    assert len(table.pieces) == len(table.kinds) == info.vocab_size
    assert info.bos is not None
    assert table.kinds[info.bos] is TokenKind.CONTROL
    assert table.pieces[info.bos] != b""


@pytest.mark.parametrize("stage", [0, 1])
def test_an_epoch_that_broke_begins_anew_by_itself(served: Cluster, stage: int) -> None:
    with cluster.connect(served.address, SECRET.for_clients.text) as client:
        before = client.generate("Once", max_tokens=8, temperature=0.0).token_ids
        for epoch in (served.epoch, served.epoch + 1):
            assert served.coordinator.epoch == epoch
            stream = client.stream("Once", ENDLESS)
            next(stream)
            served.break_epoch(stage)
            with pytest.raises(
                StageLostError, match=f"stage {stage}: lost: .*; ask again in a few seconds; .*cluster up"
            ):
                list(stream)
            wait_until(lambda: client.status().state == "ready", 20)
        assert client.generate("Once", max_tokens=8, temperature=0.0).token_ids == before


def client_text(served: Cluster, tokens: tuple[int, ...]) -> str:
    with cluster.connect(served.address, SECRET.for_clients.text) as client:
        return client.detokenize(tokens)


REPLAYED = {
    "greedy": {"temperature": 0.0},
    "drawn": {"temperature": 0.9, "top_k": 50},
    "penalties": {"temperature": 0.9, "repeat_penalty": 1.3, "presence_penalty": 0.6, "repeat_last_n": 20},
    "dry": {"temperature": 0.9, "dry_multiplier": 0.8, "dry_allowed_length": 1},
    "a grammar": {"temperature": 0.9, "grammar": 'start: /([a-z]+ ){4,30}/ "end"'},
    "log probabilities": {"temperature": 0.9, "logprobs": 3},
}


@pytest.mark.parametrize("served", [60.0], indirect=True)
@pytest.mark.parametrize("name", REPLAYED)
def test_texts_go_on_when_an_epoch_breaks(name: str, served: Cluster) -> None:
    """What the sampler knows of a text is made anew of its tokens; what was said is not said again."""
    params = cluster.SamplingParams(max_tokens=40, seed=11, ignore_eos="grammar" not in REPLAYED[name])
    with cluster.connect(served.address, SECRET.for_clients.text) as client:
        wanted = client.generate("Once upon a time", params, **REPLAYED[name])
        stream = client.stream("Once upon a time", params, **REPLAYED[name])
        events = []
        for event in stream:
            events.append(event)
            if len(events) in (3, 11, 12):
                served.break_epoch(len(events) % 2)
                wait_until(lambda: served.coordinator.status().state != "ready", 20)
    # Rows that are computed again in another number are rounded otherwise, so that a draw near a border may be another
    # one: texts may part then, but not what was said before.
    tokens = tuple(event.token for event in events if event.token is not None)
    num_sure = 12 if name == "greedy" else 3
    assert tokens[:num_sure] == tuple(wanted.token_ids[:num_sure])
    assert client_text(served, tokens) == "".join(event.text for event in events)
    assert [event.finish_reason for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].timings is not None
    assert events[-1].timings.num_tokens == len(tokens)
    assert events[0].prompt is not None
    assert not any(event.prompt for event in events[1:])
    if "grammar" in REPLAYED[name] and events[-1].finish_reason == "stop":
        assert re.fullmatch(r"([a-z]+ ){4,30}end", "".join(event.text for event in events))


@pytest.mark.parametrize("served", [60.0], indirect=True)
def test_requests_that_come_meanwhile_wait(served: Cluster) -> None:
    with cluster.connect(served.address, SECRET.for_clients.text) as client, ThreadPoolExecutor(8) as threads:
        wanted = client.generate("Once", max_tokens=8, temperature=0.0).token_ids
        logits = client.logits([1, 2, 3, 4])
        assert served.coordinator.hold_recovery() == served.epoch
        served.break_epoch(0)
        wait_until(lambda: served.coordinator.status().state.startswith("recovering: stage 0 is lost: "))
        assert re.search(r"; for \d+ s$", served.coordinator.status().state)
        assert served.coordinator.trouble.startswith("stage 0 is lost: ")
        served.coordinator.give_up("gave up after 8 repairs in a row: it died; run cluster up")
        state = served.coordinator.status().state
        assert state.startswith("degraded: stage 0 is lost: ")
        assert state.endswith("; gave up after 8 repairs in a row: it died; run cluster up")
        asked = [threads.submit(client.generate, "Once", max_tokens=8, temperature=0.0) for _ in range(6)]
        rows = threads.submit(client.logits, [1, 2, 3, 4])
        wait_until(lambda: client.status().num_waiting == 7)
        served.wire(served.epoch + 1)
        assert [one.result(30).token_ids for one in asked] == [wanted] * 6
        assert np.allclose(rows.result(30), logits, atol=1e-3)
        status = client.status()
        assert (status.state, served.coordinator.trouble) == ("ready", "")
        assert (status.num_recoveries, status.num_replayed) == (1, 0), "none had begun"
        assert status.lost_s > 0


def test_whoever_wires_the_stages_is_not_disturbed(served: Cluster) -> None:
    """`cluster up` replaces a stage: meanwhile the coordinator does not take the others away."""
    assert served.coordinator.hold_recovery() == served.epoch
    served.break_epoch(1)
    wait_until(lambda: served.coordinator.status().state != "ready")
    served.coordinator._pipeline._recovery._try()
    assert [stage.wired_epoch for stage in served.stages] == [served.epoch] * 2
    served.wire(served.epoch + 1)
    served.coordinator.first_token(20)
    assert served.coordinator.status().state == "ready"
    assert served.coordinator.hold_recovery() == served.epoch + 1


def test_a_stage_that_is_gone_is_not_recovered_from_and_the_others_are_left_alone(served: Cluster) -> None:
    server, served.stages[1]._server = served.stages[1]._server, None
    assert server is not None
    server.stop()
    wait_until(lambda: served.coordinator.status().state.startswith("degraded: stage 1 is lost"))
    with pytest.raises(UnreachableError, match="stage 1 at"):
        served.coordinator._pipeline._rewire()
    assert served.stages[0].wired_epoch == served.epoch
    assert served.coordinator.status().state.startswith("degraded: stage 1 is lost")
    with (
        cluster.connect(served.address, SECRET.for_clients.text) as client,
        pytest.raises(StageLostError, match="cluster up"),
    ):
        client.generate("Once")


def test_a_stage_is_wired_for_newer_epochs_only(served: Cluster) -> None:
    for epoch in (0, served.epoch):
        with pytest.raises(HandshakeError, match=f"stage 1 was wired for epoch {served.epoch}, and is told {epoch}; "):
            served.stages[1].rewire(Wiring(served.hello(1, epoch)))


def test_a_coordinator_that_stood_still_does_not_blame_its_stages(
    served: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams break when it runs again, and it connects to the stages, which are well, by itself."""
    monkeypatch.setattr(served.coordinator._pipeline._pulse, "stood_still_s", lambda: 20.4)
    with cluster.connect(served.address, SECRET.for_clients.text) as client:
        stream = client.stream("Once", ENDLESS)
        next(stream)
        served.coordinator._pipeline.stages._watches[1]._stream._call.cancel()
        with pytest.raises(UnreachableError) as raised:
            list(stream)
        assert not isinstance(raised.value, StageLostError)
        assert str(raised.value).startswith("coordinator: its process stood still for 20 s, and its connections")
        wait_until(lambda: client.status().state == "ready", 20)
        assert client.generate("Once", max_tokens=2).token_ids


def _odd_requests() -> list[sampling_pb2.Sampling]:
    """Every bound of every parameter and the numbers beside it, and those that are none, past the client's checks."""
    found = []
    for name, allowed in RANGES.items():
        low, high = allowed.low, allowed.high
        if allowed.is_whole:
            values: list[float] = [int(low), int(low) + 1, int(high) - 1, int(high), int(high) + 1, -1]
        else:
            near = [math.nextafter(bound, toward) for bound in (low, high) for toward in (-math.inf, math.inf)]
            values = [low, high, *near, math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e308]
        for value in values:
            with contextlib.suppress(ValueError):  # it has no place in the message
                found.append(sampling_pb2.Sampling(**{"max_tokens": 2, name: value}))
    found += [sampling_pb2.Sampling(max_tokens=2, stop=stop) for stop in (["a"] * 17, ["a"] * 1000, [""], ["x" * 257])]
    return [*found, sampling_pb2.Sampling(until_end=True, max_tokens=3)]


def test_streams_say_the_same_beside_requests_at_every_bound(served: Cluster) -> None:
    """Bit for bit; each odd request is answered, or refused by the name of the parameter, and nothing else happens."""

    def run(client: cluster.Client, seed: int) -> list[tuple[int | None, str, float | None]]:
        params = cluster.SamplingParams(max_tokens=50, ignore_eos=True, seed=seed, temperature=1.0, repeat_penalty=1.1)
        return [(event.token, event.text, event.logprob) for event in client.stream(f"Once {seed}", params)]

    def ask(client: cluster.Client, sampling: sampling_pb2.Sampling) -> None:
        call = generate_call("Once", None, {}, Specials(parse=False, add=True))
        call.request.params.CopyFrom(sampling)  # type: ignore[attr-defined]  # a GenerateRequest
        for data in client._open(call):
            call.decode(data)

    seeds = range(NUM_SLOTS - 1)
    with cluster.connect(served.address, SECRET.for_clients.text) as client, ThreadPoolExecutor(NUM_SLOTS) as threads:
        alone = list(threads.map(lambda seed: run(client, seed), seeds))
        odd = _odd_requests()
        num_refused = 0
        beside = [threads.submit(run, client, seed) for seed in seeds]
        for sampling in odd:
            try:
                ask(client, sampling)
            except UsageError:
                num_refused += 1
            done = [(seed, stream) for seed, stream in enumerate(beside) if stream.done()]
            for seed, stream in done:  # so that none is ever alone
                assert stream.result() == alone[seed]
                beside[seed] = threads.submit(run, client, seed)
        assert [stream.result() for stream in beside] == alone
        assert 20 < num_refused < len(odd) - 20
        assert client.status().state == "ready"
        assert client.status().epoch == served.epoch


def test_what_each_stage_is_told_of_the_others(served: Cluster) -> None:
    ends = [StageAddress(f"127.0.0.1:{stage + 1}", served.hello(stage, 7)) for stage in range(2)]
    assert wirings(ends) == [Wiring(ends[0].hello, ends[1], ends[1]), Wiring(ends[1].hello)]
    assert wirings(ends[:1]) == [Wiring(ends[0].hello)]


def test_a_standstill_is_told_for_a_while() -> None:
    now_s = 100.0
    pulse = Pulse(lambda: now_s)
    now_s += STANDSTILL_S - 0.1
    assert pulse.stood_still_s() == 0
    now_s += 20.5
    assert pulse.stood_still_s() == pytest.approx(20.5)
    now_s += 0.5
    pulse.beat()
    assert pulse.stood_still_s() == pytest.approx(20.5)
    for _ in range(20):
        now_s += REMEMBERED_S / 20
        pulse.beat()
    assert pulse.stood_still_s() == 0


def test_what_passes_before_the_start_is_no_standstill() -> None:
    now_s = 100.0
    pulse = Pulse(lambda: now_s)
    now_s += 20
    pulse.start()
    try:
        assert pulse.stood_still_s() == 0
    finally:
        pulse.stop()


def test_attempts_go_on_whatever_they_raise() -> None:
    attempts: list[int] = []
    done = threading.Event()

    def rewire() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise UnreachableError("stage 0: gone")
        if len(attempts) == 2:
            raise RuntimeError("a bug")
        done.set()

    recovery = Recovery(lambda: not done.is_set(), rewire)
    recovery.start()
    assert done.wait(20)
    recovery.stop()
    assert len(attempts) == 3


def test_a_failure_of_the_coordinator_is_no_stages(served: Cluster) -> None:
    served.coordinator._pipeline._recovery.hold()
    served.coordinator._engine.fail(StageFailure(None, served.epoch, "its engine failed: KeyError(3)"))
    wait_until(
        lambda: served.coordinator.status().state == "degraded: the coordinator is lost: its engine failed: KeyError(3)"
    )
    assert [stage.state for stage in served.coordinator.status().stages] == ["ready", "ready"]
