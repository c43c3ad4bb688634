"""``cluster drain``: take a machine out of the cluster, and its layers to the others."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "drain",
        help="take a machine out of the cluster",
        description="On the head: move the layers of a node to the others, and let it go. Where the others cannot take "
        "them, nothing changes.",
    )
    parser.add_argument("node", metavar="NODE", help="its name, as cluster nodes shows it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.actors.lifecycle import Lifecycle
    from cluster.terminal.progress import ProgressLines

    print(Lifecycle(ProgressLines(sys.stderr)).drain(options.node), file=sys.stderr)
    return 0
