"""Takes the measured cluster down when whoever measured it is gone, for whatever reason.

    python -m cluster.bench.guard DIRECTORY      # ends the cluster of that state directory once stdin is closed

A pipe is closed by the kernel even when its writer is killed.
"""

from __future__ import annotations

import os
import shutil
import sys


def main() -> int:
    state_home = sys.argv[1]
    os.environ["XDG_STATE_HOME"] = state_home
    sys.stdin.buffer.read()
    from cluster.cli import main as run_verb

    code = run_verb(["down"])
    shutil.rmtree(state_home, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
