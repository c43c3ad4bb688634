"""A child process that answers lines of JSON, from both sides."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from cluster.api.errors import ClusterError
from cluster.node.disk import named_errors, temporary_root
from cluster.terminal.printable import printable

PR_SET_PDEATHSIG = 1  # prctl(2)
END_TIMEOUT_S = 5.0


class Child:
    """A running ``python -m MODULE ARGUMENTS``. Close it."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        pass_files: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`pass_files`: open files that it inherits under their numbers. `environment` is added to this one's."""
        self._name = module.rpartition(".")[2]
        with named_errors(temporary_root(), "set TMPDIR to a folder on another disk"):
            self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pass_fds=pass_files,
            env={**os.environ, **(environment or {})},
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal that it died of; None while it runs."""
        return self._process.poll()

    def ask(self, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a line and read the answer. ClusterError if it says one, dies or takes too long."""
        self.send(question)
        return self.read(timeout_s)

    def send(self, question: dict[str, Any]) -> None:
        """Send a line, whose answer `read` waits for."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ClusterError(self._death()) from error

    def read(self, timeout_s: float) -> dict[str, Any]:
        """The next answer. The child writes whole lines, so that the first byte is waited for only."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                raise ClusterError(f"{self._name}: no answer within {timeout_s:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise ClusterError(self._death())
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise ClusterError(str(found["error"]))
        return found

    def close(self) -> None:
        """End it, and wait until it is gone."""
        self._process.terminate()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._errors):
            if file is not None:
                with contextlib.suppress(BrokenPipeError):  # a question that was not read by the one that died
                    file.close()

    def _death(self) -> str:
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.02)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        said = printable(lines[-1]) if lines else "and said nothing"
        code = self._process.returncode
        with contextlib.suppress(ValueError):
            if code is not None and code < 0:
                return f"{self._name}: it died of {signal.Signals(-code).name} ({said})"
        return f"{self._name}: it ended with {code} ({said})"


def answer(content: dict[str, Any]) -> None:
    """In the child: write one line."""
    print(json.dumps(content), flush=True)


def die_with_parent() -> None:
    """In the child: end when the process that started it ends, however it does (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
