"""Runs a command that takes minutes, keeps its output in a log, and shows on stderr that it is getting on.

    python worker_native/shown_run.py LOG COMMAND [ARGUMENT ...]

A command of its own, since it runs before anything is installed. Exits with the command's status; after a failure it
shows the end of the log.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

QUIET_S = 8.0  # longer than this nothing is ever silent
PERCENT_STEP = 10
TAIL_LINES = 15
_COUNTER = re.compile(r"^\s*\[(\d+)/(\d+)\]")  # ninja's
# The lines that say what pip is at; its other lines are for the log.
_PHASE = re.compile(r"^\s*(Collecting|Downloading|Building|Installing|Preparing|Getting|Running) (.{1,60})")


def main(log: str, *command: str) -> int:
    """Run `command` with its output in the file `log`. Returns its exit status."""
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    code = run_shown(list(command), path)
    if code != 0:
        tail = path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        print(f"failed; the whole log is {path}, its end is:", *tail, sep="\n", file=sys.stderr)
    return code


def run_shown(command: list[str], log: Path) -> int:
    """The exit status. Standard output and error go to `log`, as they come; what they tell goes to stderr:

    ninja's counter as percents, pip's phases where a phase takes long, and the seconds where nothing is told.
    """
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
        _Shown(sys.stderr) as shown,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            shown.line(line)
        return process.wait()


class _Shown:
    """One moving line on a terminal, a line now and then elsewhere. A thread of its own speaks up in silence."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._phase = "starting"
        self._phase_s = self._told_s = time.monotonic()
        self._percent = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Shown:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._is_terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def line(self, line: str) -> None:
        """Take a line of the command's output."""
        with self._lock:
            if counter := _COUNTER.match(line):
                self._count(100 * int(counter.group(1)) // max(1, int(counter.group(2))))
            elif (phase := _PHASE.match(line)) and ": finished" not in line:
                self._phase = " ".join(phase.groups()).strip(" ,")
                self._phase_s, self._percent = time.monotonic(), 0
                if self._is_terminal:
                    self._tell(self._phase)

    def _count(self, percent: int) -> None:
        self._phase = "compiling"
        if self._is_terminal or percent // PERCENT_STEP > self._percent // PERCENT_STEP:
            self._tell(f"compiling: {percent} %")
        self._percent = percent

    def _watch(self) -> None:
        while not self._done.wait(QUIET_S / 4):
            with self._lock:
                now_s = time.monotonic()
                if now_s - self._told_s >= QUIET_S:
                    at = f" ({self._percent} %)" if self._percent else ""
                    self._tell(f"{self._phase}{at}, for {now_s - self._phase_s:.0f} s")

    def _tell(self, text: str) -> None:
        if self._is_terminal:
            print(f"\r\x1b[K  {text[:76]}", end="", file=self._stream, flush=True)
        else:
            print(f"  {text}", file=self._stream, flush=True)
        self._told_s = time.monotonic()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
