"""``cluster restart``: start stages anew while requests wait."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cluster.api.errors import UsageError


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "restart",
        help="start stages anew, without losing a request",
        description="End the process of a stage and start it again: requests wait meanwhile, and go on.",
    )
    parser.add_argument("stages", nargs="*", type=int, metavar="STAGE", help="its number, as cluster status shows it")
    parser.add_argument("--rolling", action="store_true", help="all stages, one after the other")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if bool(options.stages) == options.rolling:
        raise UsageError("restart: give the number of a stage, or --rolling for all of them")
    from cluster.actors.changing import Changing
    from cluster.terminal.progress import ProgressLines

    print(Changing(ProgressLines(sys.stderr)).restart(options.stages or None), file=sys.stderr)
    return 0
