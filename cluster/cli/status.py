"""``cluster status``: a row per stage."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.cli.where import add_address_flags, given_address
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.node.state import ClusterState


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "status", help="show the stages", description="A row per stage: what it holds and how busy it is."
    )
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table")
    parser.add_argument("-w", "--watch", action="store_true", help="again every second, until interrupted")
    add_address_flags(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.api.errors import UnreachableError

    try:
        return _show(options)
    except UnreachableError as error:
        trouble = _trouble_below(given_address(options))
        if trouble is None:
            raise
        raise UnreachableError(f"{error}; {trouble}") from error


def _trouble_below(address: str | Path | None) -> str | None:
    """What is wrong with the Ray of the cluster that was started here, if that is the one at `address`, or what is done
    about it."""
    from cluster.api.errors import ClusterError
    from cluster.client.config_file import is_file_name
    from cluster.client.finding import resolve_address
    from cluster.node.ray_health import ray_trouble
    from cluster.node.state import read_state
    from cluster.node.supervision import repairs_told

    try:
        state = read_state()
    except ClusterError:  # whoever asks a cluster by its address need not have one here
        return None
    if state is None or not state.address or isinstance(address, Path) or is_file_name(address or ""):
        return None
    if state.address != resolve_address(address):
        return None
    return ray_trouble(state.ray_processes) or repairs_told(Path(state.run_folder))


def _show(options: argparse.Namespace) -> int:
    from cluster.client.sync import connect
    from cluster.terminal.status_record import status_record
    from cluster.terminal.table import print_status

    with connect(given_address(options)) as client:
        _warn_of_change(client.address)
        while True:
            status = client.status()
            http = _http_of(client.address)
            if options.output == "json":
                print(json.dumps({**status_record(status), "http": http}), flush=True)
            else:
                if options.watch and sys.stdout.isatty():
                    print("\x1b[H\x1b[J", end="")
                print_status(status, wide=options.output == "wide")
                if http:
                    print(f"http {http}/v1")
            if not options.watch:
                return 0
            time.sleep(1)


def _http_of(address: str) -> str:
    """Where the HTTP server of the cluster at `address` listens, if that was started here; else ""."""
    state = _state_at(address)
    return state.http if state is not None else ""


def _state_at(address: str) -> ClusterState | None:
    """What is remembered of the cluster at `address`, where that was started here."""
    from cluster.api.errors import ClusterError
    from cluster.node.state import read_state

    try:
        state = read_state()
    except ClusterError:  # whoever asks a cluster by its address need not have one here
        return None
    return state if state is not None and state.address == address else None


def _warn_of_change(address: str) -> None:
    """On stderr, where the cluster of this machine serves a file that was replaced since."""
    from cluster.sources.freshness import changed_file

    state = _state_at(address)
    if state is not None:
        note = changed_file(str(state.config.get("model", "")), state.model_version)
        if note:
            print(printable(f"warning: {note}"), file=sys.stderr)
