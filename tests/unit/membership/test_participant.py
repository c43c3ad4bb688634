"""A node takes part, comes back, and ends, with a real head and real certificates; its Ray is one that only says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.api.errors import ClusterError, UnauthenticatedError, UnreachableError
from cluster.membership import participant
from cluster.membership.joining import join
from cluster.membership.participant import RETURN, Participant
from cluster.membership.registry_file import open_registry
from cluster.membership.serving import attendant_of
from cluster.messages.membership import Grant
from cluster.node.home import Home
from tests.fakes.head import FakeHead, running_head


class SaidRay:
    """Starts at once, unless it is told to fail."""

    def __init__(self) -> None:
        self.grants: list[Grant] = []
        self.num_ended = 0
        self.summary = ""
        self.failure: ClusterError | None = None
        self.said_trouble: str | None = None

    def start(self, home: Home, grant: Grant) -> None:
        if self.failure is not None:
            raise self.failure
        self.said_trouble = None
        self.grants.append(grant)

    def joined(self, summary: str) -> None:
        self.summary = summary

    def trouble(self) -> str | None:
        return self.said_trouble

    def end(self) -> None:
        self.num_ended += 1


class Running:
    """A participant on a thread."""

    def __init__(self, folder: Path, *, is_patient: bool = False, ray: SaidRay | None = None) -> None:
        self.ray = ray or SaidRay()
        self.said: list[str] = []
        self.outcome: str | BaseException | None = None
        self.participant = Participant(folder, self.ray, self.said.append)
        self._thread = threading.Thread(target=self._run, args=(is_patient,))
        self._thread.start()

    def _run(self, is_patient: bool) -> None:
        try:
            self.outcome = self.participant.run(is_patient=is_patient)
        except BaseException as error:
            self.outcome = error

    def wait(self) -> str | BaseException | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.outcome

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, (self.said, self.outcome)
            assert self._thread.is_alive(), (self.said, self.outcome)
            time.sleep(0.02)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WATCH_S", "REGISTER_S", "PAUSE_S", "MAX_PAUSE_S"):
        monkeypatch.setattr(participant, name, 0.05)


@pytest.fixture
def head(tmp_path: Path) -> Iterator[FakeHead]:
    with running_head(tmp_path / "head") as running:
        yield running


@pytest.fixture
def node(head: FakeHead, tmp_path: Path) -> Home:
    return join(tmp_path / "node", head.address, head.token(), "node-2", head.beside(2))


def test_a_node_takes_part_until_the_head_ends_it(head: FakeHead, node: Home) -> None:
    running = Running(node.folder)
    running.wait_for(lambda: running.said == ["joined: node-2: 4 cores"])
    with attendant_of(head.home, "node-2", head.beside(2)) as attendant:
        assert attendant.ping().running == running.ray.summary == "node-2: 4 cores"
        attendant.end("the cluster is taken down")
    assert running.wait() == "the cluster is taken down"
    assert (len(running.ray.grants), running.ray.num_ended) == (1, 1)


def test_a_node_comes_back_when_the_head_says_that_it_starts_anew(head: FakeHead, node: Home) -> None:
    running = Running(node.folder)
    running.wait_for(lambda: len(running.ray.grants) == 1)
    with attendant_of(head.home, "node-2", head.beside(2)) as attendant:
        attendant.end(RETURN)
        running.wait_for(lambda: len(running.ray.grants) == 2)
        running.participant.end("enough")
    assert running.wait() == "enough"
    assert running.ray.num_ended == 2


def test_a_node_comes_back_when_its_ray_was_given_up_and_when_the_head_runs_another_cluster(
    head: FakeHead, node: Home
) -> None:
    running = Running(node.folder)
    running.wait_for(lambda: len(running.ray.grants) == 1)
    running.ray.said_trouble = "raylet: it has ended"
    running.wait_for(lambda: len(running.ray.grants) == 2)
    head.cluster.instance = "another"
    running.wait_for(lambda: len(running.ray.grants) == 3)
    running.participant.end("enough")
    assert running.wait() == "enough"
    news = ["raylet: it has ended; coming back", "the head runs another cluster; coming back"]
    assert [line for line in running.said if not line.startswith("joined")] == news
    assert running.ray.grants[-1].instance == "another"


def test_a_head_that_is_away_for_a_while_does_not_end_anything(tmp_path: Path) -> None:
    with running_head(tmp_path / "head") as head:
        home = join(tmp_path / "node", head.address, head.token(), "node-2", head.beside(2))
        running = Running(home.folder)
        running.wait_for(lambda: running.ray.summary != "")  # the head has found it to be of use
    time.sleep(0.5)
    assert running.ray.num_ended == 0
    with running_head(tmp_path / "head", head.home.host, head.ports.first):
        time.sleep(0.5)
        assert len(running.ray.grants) == 1
    running.participant.end("enough")
    assert running.wait() == "enough"


def test_who_ends_a_node_is_heard_though_its_head_refuses_it_just_then(
    head: FakeHead, node: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that goes down breaks off the handshakes that it is in, which looks like a refusal."""
    running = Running(node.folder)
    running.wait_for(lambda: running.ray.summary != "")

    def refuse(home: Home) -> Grant:
        running.participant.end("enough")
        raise UnauthenticatedError("no TLS there (unexpected eof while reading)")

    monkeypatch.setattr(participant, "register", refuse)
    assert running.wait() == "enough"


def test_who_is_patient_waits_for_a_head_and_says_so_once_and_who_is_not_fails(tmp_path: Path) -> None:
    with running_head(tmp_path / "head") as head:
        home = join(tmp_path / "node", head.address, head.token(), "node-2", head.beside(2))
    assert isinstance(Running(home.folder).wait(), UnreachableError)
    running = Running(home.folder, is_patient=True)
    running.wait_for(lambda: len(running.said) == 1)
    time.sleep(0.5)
    assert len(running.said) == 1
    assert running.said[0].endswith("; trying again")
    with running_head(tmp_path / "head", head.home.host, head.ports.first):
        running.wait_for(lambda: len(running.ray.grants) == 1)
        running.participant.end("enough")
        assert running.wait() == "enough"


def test_what_keeps_a_new_node_from_being_of_use_is_its_error_and_nothing_is_left(
    head: FakeHead, node: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    head.cluster.useless.add("node-2")
    monkeypatch.setattr(participant, "CONFIRM_S", 0.2)
    running = Running(node.folder)
    outcome = running.wait()
    assert isinstance(outcome, UnreachableError)
    assert "its agent did not answer" in str(outcome)
    assert running.ray.num_ended == 1


def test_a_node_that_was_removed_ends(head: FakeHead, node: Home) -> None:
    running = Running(node.folder)
    running.wait_for(lambda: len(running.ray.grants) == 1)
    with open_registry(head.home.folder) as registry:
        registry.remove("node-2")
    assert isinstance(running.wait(), UnauthenticatedError)
    assert running.ray.num_ended == 1


def test_a_node_that_waits_to_be_found_of_use_ends_at_once_when_it_is_told(
    head: FakeHead, node: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    head.cluster.useless.add("node-2")
    monkeypatch.setattr(participant, "CONFIRM_S", 10)
    running = Running(node.folder)
    running.wait_for(lambda: len(running.ray.grants) == 1)
    begin_s = time.monotonic()
    running.participant.end("SIGINT")
    assert running.wait() == "SIGINT"
    assert time.monotonic() - begin_s < 5


def test_a_head_that_begins_anew_while_a_new_node_starts_is_no_reason_to_give_up(head: FakeHead, node: Home) -> None:
    class OvertakenRay(SaidRay):
        def start(self, home: Home, grant: Grant) -> None:
            if grant.instance == "instance":
                head.cluster.instance = "another"
                raise ClusterError("ray start: failed (the token is of another cluster)")
            super().start(home, grant)

    running = Running(node.folder, ray=OvertakenRay())
    running.wait_for(lambda: bool(running.ray.grants) and running.ray.grants[-1].instance == "another")
    running.participant.end("enough")
    assert running.wait() == "enough"
