"""Takes the measured cluster down when whoever measured it is gone, for whatever reason.

    python -m cluster.bench.guard DIRECTORY      # ends the cluster of that state directory once stdin is closed

A pipe is closed by the kernel even when its writer is killed. A signal that ends processes ends the cluster at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _AskedToEnd(Exception):
    """A signal came."""


def main() -> int:
    state_home = sys.argv[1]
    os.environ["XDG_STATE_HOME"] = state_home
    with contextlib.suppress(_AskedToEnd):
        for sign in SIGNALS:
            signal.signal(sign, _end)
        sys.stdin.buffer.read()
    for sign in SIGNALS:
        signal.signal(sign, signal.SIG_IGN)
    code = subprocess.call([sys.executable, "-m", "cluster", "down"])
    shutil.rmtree(state_home, ignore_errors=True)
    return code


def _end(signum: int, frame: object) -> NoReturn:
    raise _AskedToEnd


if __name__ == "__main__":
    sys.exit(main())
