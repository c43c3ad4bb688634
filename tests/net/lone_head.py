"""A head without Ray: its doors are open on the host that this runs on. For each line of stdin it makes a join string.

Runs alone on a host: ``python lone_head.py ADDRESS FIRST_PORT``, with this project on PYTHONPATH.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fakes.head import SECRET, running_head

HOME = Path("/tmp/state/ggml-cluster")

if __name__ == "__main__":
    with running_head(HOME, sys.argv[1], int(sys.argv[2])) as head:
        print("secret", SECRET.text, flush=True)
        print("open", flush=True)
        for number, _ in enumerate(sys.stdin):
            print(f"token-{number}", head.token().text, flush=True)
