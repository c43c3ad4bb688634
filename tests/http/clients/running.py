"""How a program that others wrote is run: in a folder of its own, where nothing of this machine's user is seen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TASK_S = 300


def work_of(folder: Path) -> Path:
    """Where the program works."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return work


def ran(command: Sequence[Path | str], folder: Path, more: Mapping[str, str] | None = None) -> str:
    """What the program wrote. It sees no key, no proxy and no home but these; `more` is added to its environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "NO_COLOR": "1", **(more or {})}
    done = subprocess.run(
        command,
        cwd=work_of(folder),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TASK_S,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout
