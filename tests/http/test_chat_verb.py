"""``cluster chat`` over a real cluster: on a real terminal, and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.wire_backends import SECRET
from tests.http.serving import Served

DEADLINE_S = 60.0
# The terminal is the one that controls the process, so that Ctrl-C reaches it.
OWN_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>][0-9A-Za-z]?|\r")


@pytest.fixture
def environment(served: Served, tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "secret"
    secret.write_text(SECRET.for_clients.text)
    secret.chmod(0o600)
    return {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path),
        "CLUSTER_ADDRESS": served.endpoint.address,
        "CLUSTER_SECRET_FILE": str(secret),
        "TERM": "xterm",
        "PYTHONUNBUFFERED": "1",
    }


def chat(*flags: str) -> list[str]:
    return [sys.executable, "-m", "cluster", "chat", *flags]


def piped(environment: dict[str, str], lines: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        chat(*flags), env=environment, input=lines, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


def test_lines_in_and_answers_out(environment: dict[str, str], tmp_path: Path) -> None:
    saved = tmp_path / "talk.json"
    lines = f"Hello\n/set max_tokens 5\nmore \\\nthan one line\n/save {saved}\n"
    done = piped(environment, lines, "-n", "8", "--temp", "0", "--system", "Be brief.")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "max_tokens is 5" in done.stderr
    talk = json.loads(saved.read_text())
    assert [message["role"] for message in talk] == ["system", "user", "assistant", "user", "assistant"]
    assert talk[3]["content"] == "more \nthan one line"
    answers = [message["content"].removesuffix("\n") for message in talk if message["role"] == "assistant"]
    assert done.stdout == "".join(f"{answer}\n" for answer in answers)


def test_a_pipe_ends_at_the_first_error(environment: dict[str, str]) -> None:
    done = piped(environment, "/set temperature hot\nHello\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cluster: temperature: ")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *command],
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._master = master
        self.shown = ""

    def wait_for(self, pattern: str, begin: int = 0) -> int:
        """Until something is shown behind `begin`; where that ends."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            found = re.compile(pattern).search(self.shown, begin)
            if found:
                return found.end()
            self._read(0.2)
        raise AssertionError(f"{pattern!r} was not shown: {self.shown[begin:]!r}")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Its exit code."""
        deadline = time.monotonic() + DEADLINE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        return self.process.wait(1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._master)

    def _read(self, timeout_s: float) -> None:
        if select.select([self._master], [], [], timeout_s)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the other end is closed
                return
            if b"\x1b[6n" in data:  # where is the cursor?
                os.write(self._master, b"\x1b[1;1R")
            self.shown += CONTROL.sub("", data.decode("utf-8", "replace"))


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Terminal]:
    found = Terminal(chat("--temp", "0"), environment)
    yield found
    found.close()


def test_on_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    seen = terminal.wait_for("Ctrl-D leaves")
    seen = terminal.wait_for(">", seen)
    terminal.type("/set max_tokens 6\r")
    seen = terminal.wait_for("max_tokens is 6", seen)
    terminal.type("Hello\r")
    seen = terminal.wait_for(r"tokens/s", seen)
    terminal.type("/nonsense\r")
    seen = terminal.wait_for("no such command", seen)
    # An answer without end is stopped, and the program goes on.
    terminal.type("/set max_tokens 100000\r")
    seen = terminal.wait_for("max_tokens is 100000", seen)
    terminal.type("/set ignore_eos true\r")
    seen = terminal.wait_for("ignore_eos is True", seen)
    terminal.type("Tell me a long story\r")
    seen = terminal.wait_for("story", seen)
    terminal.wait_for(r"story\s+\S", seen - len("story"))
    terminal.type("\x03")
    seen = terminal.wait_for(r"\(stopped\)|the context is full|it was stopped", seen)
    terminal.type("/show\r")
    seen = terminal.wait_for(r"messages: \d", seen)
    terminal.wait_for(">", seen)  # before that, the terminal itself would take it
    terminal.type("\x04")
    assert terminal.end() == 0
    history = tmp_path / "ggml-cluster" / "chat_history"
    assert "Hello" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
