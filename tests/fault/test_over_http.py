"""Answers over HTTP go on when a stage or the coordinator dies: the server is a client that comes back by itself."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request

import pytest

from tests.conftest import CliHome
from tests.fakes.wire_backends import wait_until
from tests.fault.streams import health, processes, stage_pids, wait_ready

pytestmark = pytest.mark.ray

NUM_TOKENS = 200
NUM_STREAMS = 4


@pytest.fixture
def home(home_with_http: CliHome) -> CliHome:
    return home_with_http


class Reader:
    """One streamed completion, read in a thread."""

    def __init__(self, base: str, seed: int) -> None:
        asked = {
            "prompt": "Once upon a time",
            "n_predict": NUM_TOKENS,
            "ignore_eos": True,
            "stream": True,
            "seed": seed,
        }
        self._request = urllib.request.Request(f"{base}/completion", json.dumps(asked).encode())
        self.events: list[dict[str, object]] = []
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            with urllib.request.urlopen(self._request, timeout=120) as answer:
                for line in answer:
                    if line.startswith(b"data: "):
                        self.events.append(json.loads(line.removeprefix(b"data: ")))
        except Exception as error:
            self.error = error


@pytest.mark.slow
@pytest.mark.parametrize("who", ["stage", "coordinator"])
def test_streams_over_http_go_on(who: str, home: CliHome) -> None:
    wait_ready(home)
    base = str(home.state()["http"])
    wait_until(lambda: health(base) == 200, 30)
    readers = [Reader(base, seed) for seed in range(NUM_STREAMS)]
    wait_until(lambda: all(len(reader.events) > 20 for reader in readers), 60)
    pid = stage_pids(home)[1] if who == "stage" else next(iter(processes(home, b"ray::Coordinator")))
    os.kill(pid, signal.SIGKILL)
    for reader in readers:
        reader.thread.join(120)
        assert reader.error is None, reader.error
        *before, last = reader.events
        assert all("error" not in event for event in reader.events), reader.events[-1]
        assert last["stop"] is True
        assert last["tokens_predicted"] == NUM_TOKENS
        assert sum(len(event["tokens"]) for event in before if isinstance(event["tokens"], list)) in (
            NUM_TOKENS - 1,
            NUM_TOKENS,
        )
    wait_until(lambda: health(base) == 200, 30)
