"""A command that runs on a host."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

ENTER_TIMEOUT_S = 10.0


@dataclass
class Running:
    """What it writes goes to files, so that it never waits for a reader and can be shown when a test has failed."""

    process: subprocess.Popen[bytes]
    out_file: Path
    err_file: Path

    @classmethod
    def start(cls, command: list[str], environment: dict[str, str], logs: Path) -> Running:
        number = len(list(logs.glob("*.out")))
        out_file, err_file = logs / f"{number}.out", logs / f"{number}.err"
        with out_file.open("wb") as out, err_file.open("wb") as err:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=err, start_new_session=True
            )
        return cls(process, out_file, err_file)

    @property
    def out(self) -> str:
        return self.out_file.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self.err_file.read_text(errors="replace")

    @property
    def returncode(self) -> int | None:
        return self.process.poll()

    @property
    def pid(self) -> int:
        """The command's own, as seen from outside: `process` is what entered the namespaces and waits for it."""
        deadline = time.monotonic() + ENTER_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            if children:
                return int(children[0])
            time.sleep(0.01)
        raise AssertionError(f"{self.process.args!r} is not running: {self.err}")

    def signal(self, sign: signal.Signals) -> None:
        os.kill(self.pid, sign)

    def say(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def wait(self, timeout_s: float) -> int:
        """Its exit code; TimeoutExpired if it goes on."""
        return self.process.wait(timeout_s)

    def wait_for(self, text: str, timeout_s: float) -> str:
        """Wait until it has written a line with `text` to either stream; the first such line."""
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self.returncode is not None
            for line in (self.out + "\n" + self.err).splitlines():
                if text in line:
                    return line
            assert not ended, f"ended with {self.returncode} before it said {text!r}:\n{self.out}\n{self.err}"
            assert time.monotonic() < deadline, f"no {text!r} within {timeout_s:.0f} s:\n{self.out}\n{self.err}"
            time.sleep(0.05)

    def end(self) -> None:
        """SIGKILL, if it still runs. May be repeated."""
        if self.process.poll() is None:
            with contextlib.suppress(AssertionError, OSError):
                os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                self.process.kill()
        self.process.wait(ENTER_TIMEOUT_S)
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
