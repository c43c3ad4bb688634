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
    parser.add_argument(
        "--drain", metavar="TIME", help="refuse new requests, and give those that are open so long to end, such as 30s"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.actors.lifecycle import Lifecycle
    from cluster.duration import seconds
    from cluster.terminal.progress import ProgressLines

    drain_s = seconds("drain", options.drain) if options.drain else 0
    print(Lifecycle(ProgressLines(sys.stderr)).down(drain_s), file=sys.stderr)
    return 0
