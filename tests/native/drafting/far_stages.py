"""Stages with long ways between them, each in a process of its own or all in this one, where their coordinator is."""

from __future__ import annotations

import multiprocessing
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cluster.actors.driver.wiring import wire_all
from cluster.config import ClusterConfig
from cluster.coordinator.service import CoordinatorService
from cluster.coordinator.spec import CoordinatorSpec
from cluster.messages.stage import Wiring
from cluster.planning.any_plan import plan_model
from cluster.stage.loading import load_stage
from cluster.stage.service import StageService
from cluster.stage.spec import LoadedStage, StageSpec
from cluster.wire.access.endpoint import Listener
from cluster.wire.access.keys import Keys
from tests.fakes.slow_road import SlowRoad
from tests.fakes.wire_backends import SECRET, wait_until
from tests.net import delay_proxy

KEYS = Keys(SECRET).meeting(False)  # Unix sockets would pass the roads by
FAR = "127.0.0.2"  # the same port number: proofs of a secret name the port, not the host
LOAD_TIMEOUT_S = 300.0
BYTES_S = 1e9  # no bound


class FarStage:
    """A stage in another process, whose callers come by a road that delays each way. Close it."""

    def __init__(self, spec: StageSpec, delay_s: float) -> None:
        self._delay_s = delay_s
        self._ours, theirs = multiprocessing.get_context("spawn").Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(spec, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._road: subprocess.Popen[bytes] | None = None

    def load(self) -> LoadedStage:
        """Waits until it is loaded."""
        loaded: LoadedStage = self._ours.recv()
        return loaded

    def wire(self, wiring: Wiring) -> str:
        """Where callers find it."""
        self._ours.send(wiring)
        address: str = self._ours.recv()
        if not self._delay_s:
            return address
        far = f"{FAR}:{address.rpartition(':')[2]}"
        command = [sys.executable, "-I", delay_proxy.__file__, far, address, str(self._delay_s)]
        self._road = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        wait_until(lambda: _listens(far), 60)
        return far

    def close(self) -> None:
        with suppress(BrokenPipeError):  # it has died
            self._ours.send(None)
        self._process.join(10)
        if self._road is not None:
            assert self._road.stdin is not None
            self._road.stdin.close()
            self._road.wait(10)


class NearStage:
    """The same in this process, where a busy machine starves no stage for so long that it is taken for dead."""

    def __init__(self, spec: StageSpec, delay_s: float) -> None:
        self._delay_s = delay_s
        self._stage = StageService(spec, load_stage, KEYS.for_stages)
        self._stage.start_loading()
        self._road: SlowRoad | None = None

    def load(self) -> LoadedStage:
        wait_until(lambda: self._stage.progress().phase in ("ready", "failed"), LOAD_TIMEOUT_S)
        loaded = self._stage.progress().loaded
        assert loaded is not None, self._stage.progress().error
        return loaded

    def wire(self, wiring: Wiring) -> str:
        address = self._stage.wire(wiring)
        if not self._delay_s:
            return address
        self._road = SlowRoad(address, self._delay_s, BYTES_S)
        return self._road.address

    def close(self) -> None:
        self._stage.stop()
        if self._road is not None:
            self._road.close()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


def _serve(spec: StageSpec, connection: Connection) -> None:
    """The process of a stage."""
    stage = StageService(spec, load_stage, KEYS.for_stages)
    stage.start_loading()
    until_s = time.monotonic() + LOAD_TIMEOUT_S
    while stage.progress().phase not in ("ready", "failed") and time.monotonic() < until_s:
        time.sleep(0.05)
    loaded = stage.progress().loaded
    assert loaded is not None, stage.progress().error
    connection.send(loaded)
    while (wiring := connection.recv()) is not None:
        connection.send(stage.wire(wiring))
    stage.stop()


@contextmanager
def far_cluster(
    path: Path, num_stages: int, delay_s: float, *, one_process: bool = False, **settings: Any
) -> Iterator[tuple[CoordinatorService, str]]:
    """The coordinator, and where clients connect; each message between two of the processes takes `delay_s` more."""
    with ExitStack() as stack:
        plan = plan_model(ClusterConfig(str(path), stages=num_stages, local_sockets=False, **settings))
        assert isinstance(plan.coordinator, CoordinatorSpec)
        stages: list[FarStage | NearStage] = [
            NearStage(spec, delay_s) if one_process else FarStage(spec, delay_s) for spec in plan.stages
        ]
        for stage in stages:
            stack.callback(stage.close)
        loaded = [stage.load() for stage in stages]
        coordinator = CoordinatorService(plan.coordinator, KEYS, Listener(SECRET.for_clients))
        stack.callback(coordinator.stop)
        address = coordinator.start()
        coordinator.wire(1, wire_all(plan.stages, loaded, 1, lambda stage, wiring: stages[stage].wire(wiring)))
        coordinator.first_token(30)
        yield coordinator, address
