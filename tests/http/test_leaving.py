"""A server that is told to go: answers that are open may end, unless it is told again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from cluster.cli.serve import leave
from tests.fakes.wire_backends import wait_until
from tests.http.serving import Served, asked, serving

pytestmark = pytest.mark.native
LONG: dict[str, Any] = {"prompt": "Once upon a time", "max_tokens": 480, "ignore_eos": True, "stream": True}
NUM_LEFT = 400  # tokens of an answer that may end: a busy machine needs less than the time that it has


@contextmanager
def open_stream(url: str, body: dict[str, Any] = LONG) -> Iterator[http.client.HTTPResponse]:
    """One that has begun, and goes on for hundreds of tokens."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body))
        response = connection.getresponse()
        assert response.status == 200
        assert response.readline().startswith(b"data: ")
        yield response
    finally:
        connection.close()


def test_a_signal_lets_an_answer_end(served: Served, tmp_path: Path) -> None:
    secret = served.endpoint.secret
    assert secret is not None
    where = {"CLUSTER_ADDRESS": served.endpoint.address, "CLUSTER_SECRET": secret.text}
    said = tmp_path / "said"
    with said.open("w") as out:
        command = [sys.executable, "-m", "cluster", "serve", "--http", "127.0.0.1:0"]
        process = subprocess.Popen(command, stderr=out, env=os.environ | where)
    try:
        wait_until(lambda: "/v1" in said.read_text(), 60)
        url = said.read_text().partition("http     ")[2].partition("/v1")[0]
        wait_until(lambda: asked(url, "GET", "/health").status == 200, 30)
        with open_stream(url, LONG | {"max_tokens": NUM_LEFT}) as response:
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: "answers that are open" in said.read_text(), 30)
            rest = response.read().decode().split("\n\n")
        assert rest[-2] == "data: [DONE]"
        assert json.loads(rest[-3].removeprefix("data: "))["timings"]["predicted_n"] == NUM_LEFT
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    served.wait_idle()


def test_a_second_signal_ends_it_now(served: Served) -> None:
    """Nobody waits for ten minutes here, or this would not end."""
    signals: SimpleQueue[int] = SimpleQueue()
    with serving(cluster=served) as found, open_stream(found.url) as response:
        leaving = threading.Thread(target=leave, args=(found.http, signals, 600.0))
        leaving.start()
        signals.put(signal.SIGTERM)
        wait_until(lambda: asked(found.url, "GET", "/health").status == 503, 30)
        assert asked(found.url, "POST", "/v1/completions", LONG).status == 503
        signals.put(signal.SIGTERM)
        leaving.join(60)
        assert not leaving.is_alive()
        rest = response.read().decode().split("\n\n")
        assert "shutting down" in json.loads(rest[-2].removeprefix("data: "))["error"]["message"]
    served.wait_idle()
