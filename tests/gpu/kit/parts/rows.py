"""Every row of ggml's table on the device, against the CPU. A row that ends its process is named; the rest go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, figure, judged, not_run
from tests.gpu.kit.settings import Settings

CHILD = "tests.gpu.kit.rows_child"
TINY_STRIDE = 23  # of the table; enough to see that it works
MAX_DEATHS = 25  # each costs the start of another process
# ggml multiplies 32-bit floats on CUDA in TF32, of which 10 bits of the fraction are kept.
DEVICE_TOLERANCE = 2e-3


def cases(settings: Settings) -> list[Case]:
    return [Case("table", _table, 90.0)]


def _table(settings: Settings, tell: Tell) -> None:
    try:
        from tests.ggml.device_rows import ROWS
    except ImportError as error:
        tell(not_run("table", f"{error}; the samples are drawn with torch and hypothesis"))
        return
    import ggml

    ggml.device(settings.device)  # where there is none, no row needs a process to find that out
    names = ROWS[::TINY_STRIDE] if settings.is_tiny else ROWS
    tell(figure("rows", number=len(names)))
    if not names:
        tell(not_run("table", "torch is not installed: the samples are drawn with it"))
        return
    compare_rows([sys.executable, "-m", CHILD, settings.device, str(DEVICE_TOLERANCE)], names, tell)


def compare_rows(command: Sequence[str], names: Sequence[str], tell: Tell) -> None:
    """`command`, with names behind it, tells each as `rows_child` does; after its death it gets those that follow."""
    num_right, deaths, at = 0, 0, 0
    while at < len(names) and deaths <= MAX_DEATHS:
        with closing(_Worker([*command, *names[at:]])) as worker:
            for told in worker:
                at += 1
                if told["why"]:
                    tell(judged(told["name"], False, told["why"]))
                else:
                    num_right += 1
        if at < len(names):
            tell(judged(names[at], False, f"its process ended with {worker.code}"))
            deaths, at = deaths + 1, at + 1
    if at < len(names):
        tell(not_run("the rest", f"{len(names) - at} rows, after {deaths} processes that died"))
    tell(judged("as on the CPU", num_right == at, "see those above", right=f"{num_right}/{at}"))


class _Worker:
    """A process that compares rows and tells each as a line of JSON."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.code: int | None = None

    def __iter__(self) -> Iterator[dict[str, str]]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
        self.code = self._process.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
