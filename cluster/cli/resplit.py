"""``cluster resplit``: cut the layers of a cluster that serves otherwise, while requests wait."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cluster.api.errors import UsageError
from cluster.cli.settings import add_setting_flags, given_layout
from cluster.config import LAYOUT


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "resplit",
        help="cut the layers otherwise, without losing a request",
        description="Place the layers anew, on more or fewer stages or other devices: requests wait meanwhile, and go "
        "on. Where that cannot be, nothing changes.",
    )
    add_setting_flags(parser, LAYOUT)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    layout = given_layout(options)
    if not layout:
        raise UsageError("resplit: it is not said how; give --stages, --layers, --tensor-split or --devices")
    from cluster.actors.changing import Changing
    from cluster.terminal.progress import ProgressLines

    print(Changing(ProgressLines(sys.stderr)).resplit(layout), file=sys.stderr)
    return 0
