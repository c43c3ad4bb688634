"""The HTTP server of `cluster up` and of `cluster serve`: where it listens, who may ask, and that it comes back."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import CliHome
from tests.ray.test_failure import wait_until

ARGUMENTS = ("--demo", "-c", "256", "-np", "2")


def answer(base: str, path: str, key: str = "", body: object = None) -> tuple[int, dict[str, object]]:
    """Status and JSON of one request."""
    where = urlsplit(base)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        data = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, data, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


def base_of(said: str) -> str:
    found = re.search(r"^http +(http://[0-9.]+:[0-9]+)/v1$", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


def is_served(base: str) -> bool:
    try:
        return answer(base, "/readyz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def http_pid(home: CliHome, base: str) -> int:
    from cluster.node.ports import listening_pid

    state = json.loads((home.state_file).read_text())
    return listening_pid(state["instance"], base.removeprefix("http://"))


def test_up_ends_with_an_address_that_answers(cli_home: CliHome) -> None:
    done = cli_home.run("up", *ARGUMENTS)
    assert done.returncode == 0, done.stderr
    base = base_of(done.stderr)
    asked = {"model": "any", "messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 8}
    status, said = answer(base, "/v1/chat/completions", body=asked)
    assert status == 200, said
    assert said["object"] == "chat.completion"
    assert "http" in cli_home.run("status").stdout
    again = cli_home.run("up")
    assert base_of(again.stderr) == base
    assert "already up" in again.stderr

    os.kill(http_pid(cli_home, base), signal.SIGKILL)
    wait_until(lambda: is_served(base), 60)

    # A coordinator that was replaced, which nobody asked for, is found by the same server.
    pid, killed = http_pid(cli_home, base), coordinator_pid(cli_home)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: "repaired within" in cli_home.run("logs", "supervisor").stdout, 60)
    assert coordinator_pid(cli_home) != killed
    wait_until(lambda: is_served(base), 30)
    assert http_pid(cli_home, base) == pid
    assert answer(base, "/v1/chat/completions", body=asked)[0] == 200

    assert cli_home.run("down").returncode == 0
    with pytest.raises(OSError):
        answer(base, "/livez")


def coordinator_pid(home: CliHome) -> int:
    from cluster.node.ports import listening_pid

    state = json.loads((home.state_file).read_text())
    return listening_pid(state["instance"], home.address)


def test_keys_are_asked_for_and_stand_nowhere(cli_home: CliHome) -> None:
    done = cli_home.run("up", *ARGUMENTS, "--api-key", "a-key-of-mine")
    assert done.returncode == 0, done.stderr
    base = base_of(done.stderr)
    assert answer(base, "/v1/models")[0] == 401
    assert answer(base, "/v1/models", "another")[0] == 401
    assert answer(base, "/v1/models", "a-key-of-mine")[0] == 200
    assert answer(base, "/health")[0] == 200
    written = [path for path in cli_home.state_file.parent.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"a-key-of-mine" in path.read_bytes()]


def test_a_port_that_is_taken_is_said_before_anything_starts(cli_home: CliHome) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cli_home.run("up", *ARGUMENTS, "--http", f"127.0.0.1:{port}")
        assert done.returncode == 2
        assert f"port {port} on 127.0.0.1" in done.stderr
        assert cli_home.run("status").returncode == 4


def test_serve_is_the_same_for_a_cluster_that_is_up(cli_home: CliHome, tmp_path: Path) -> None:
    done = cli_home.run("up", *ARGUMENTS, "--no-http")
    assert done.returncode == 0, done.stderr
    assert "http:" not in done.stderr
    with (tmp_path / "said").open("w+") as said:
        serving = subprocess.Popen(
            [sys.executable, "-m", "cluster", "serve", "--alias", "mine"], stderr=said, env=cli_home.environment
        )
        try:
            wait_until(lambda: "/v1" in (tmp_path / "said").read_text(), 60)
            base = base_of((tmp_path / "said").read_text())
            wait_until(lambda: is_served(base), 30)
            status, models = answer(base, "/v1/models")
            assert status == 200
            assert models["data"][0]["id"] == "mine"  # type: ignore[index]
        finally:
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(20) == 0
