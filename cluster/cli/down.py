"""``cluster down``: end the cluster, whatever state it is in."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "down",
        help="end the cluster",
        description="End the actors, and Ray if `cluster up` started it; also cleans up after a crash.",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.actors.lifecycle import Lifecycle
    from cluster.terminal.progress import ProgressLines

    print(Lifecycle(ProgressLines(sys.stderr)).down(), file=sys.stderr)
    return 0
