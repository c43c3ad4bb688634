"""``cluster logs``: what the processes of a cluster have printed."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.api.errors import UnreachableError, UsageError
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.actors.asking.logs import Log

LINE_BYTES = 200  # as logs go; the lines that are too many are dropped
FOLLOW_S = 1.0


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "logs",
        help="show what the cluster's processes wrote",
        description="On the machine where cluster up ran: the last lines that the coordinator, the supervisor and "
        "the stages wrote, on whichever machine they are. A cluster that is well writes next to nothing.",
    )
    add = parser.add_argument
    add(
        "whose",
        nargs="?",
        metavar="NODE|STAGE",
        help="a machine, stage-0 and so on, coordinator or supervisor (default: all)",
    )
    add("-f", "--follow", action="store_true", help="go on with what is written from now on, until interrupted")
    add("-n", "--lines", type=int, metavar="N", default=20, help="of each file (default: 20)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if not 0 <= options.lines <= 10_000:
        raise UsageError(f"--lines: {options.lines} is not possible; give 0 to 10000")
    from cluster.actors.asking.logs import open_logs
    from cluster.actors.asking.own_status import status_at
    from cluster.node.state import read_state, state_path
    from cluster.node.supervision import read_supervision

    state = read_state()
    if state is None or not state.address:
        raise UsageError("logs: no cluster was started here; run it where cluster up ran")
    tail = options.lines * LINE_BYTES
    try:
        status = status_at(state.address)
    except UnreachableError:  # then it says why that is
        if read_supervision(Path(state.run_folder)) is None:
            raise
        status = None
    with open_logs(state, state_path().parent, status, options.whose, tail) as logs:
        for log in logs:
            _print(log, log.news().splitlines()[-options.lines :] if options.lines else [])
        while options.follow:
            time.sleep(FOLLOW_S)
            for log in logs:
                _print(log, log.news().splitlines())
    return 0


def _print(log: Log, lines: list[str]) -> None:
    for line in lines:
        print(printable(f"{log.label}: {line}"), flush=True)
