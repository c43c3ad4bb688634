"""The port of the HTTP server: chosen before the stages load, and taken after that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.actors.front import open_front
from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.http.settings import HttpSettings
from cluster.node.state import ClusterState, read_state, write_state


class TakenPorts:
    """An HTTP server whose port is taken the first times that it wants to listen. As `HttpLaunch`."""

    def __init__(self, num_times: int) -> None:
        self._num_times = num_times
        self.prepared: list[HttpSettings] = []

    def prepare(self, settings: HttpSettings) -> None:
        self.prepared.append(settings)

    def open(self) -> str:
        if self._num_times:
            self._num_times -= 1
            raise UsageError("http: nothing can listen at 127.0.0.1:8000")
        return "http://127.0.0.1:8001"


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_state(ClusterState("i", "127.0.0.1:1", "n", True, "", "127.0.0.1:2", True, {}))


def opened(config: ClusterConfig, http: TakenPorts) -> str:
    launch: Any = SimpleNamespace(http=http)
    return open_front(launch, config)


def test_a_port_that_was_taken_meanwhile_is_another_where_nobody_asked_for_it(remembered: None) -> None:
    http = TakenPorts(2)
    assert opened(ClusterConfig("m.gguf"), http) == "http://127.0.0.1:8001"
    assert len(http.prepared) == 2
    state = read_state()
    assert state is not None
    assert state.http == "http://127.0.0.1:8001"


def test_one_that_was_asked_for_is_not_replaced(remembered: None) -> None:
    http = TakenPorts(1)
    with pytest.raises(UsageError, match="nothing can listen"):
        opened(ClusterConfig("m.gguf", http="8000"), http)
    assert not http.prepared


def test_it_is_not_tried_for_ever(remembered: None) -> None:
    with pytest.raises(UsageError, match="nothing can listen"):
        opened(ClusterConfig("m.gguf"), TakenPorts(9))
