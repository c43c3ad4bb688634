"""``cluster doctor``: what keeps a cluster from working, or from working well."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cluster.cli.settings import add_plan_flags, given_settings, with_projector
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.api.nodes import NodeStatus
    from cluster.doctor.check import Check

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "doctor",
        help="look for what is wrong",
        description="Check library, versions, memory, ports, link, the model, and the cluster that is up if there is "
        "one. Exit code 0: nothing failed, 1: something did.",
    )
    add_plan_flags(parser, "a model to check too (default: that of the cluster that is up)")
    parser.add_argument("--port", type=int, default=0, help="port that a cluster is to listen on (default: a free one)")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def _next_check(checks: Iterator[Check]) -> Check | None:
    from cluster.terminal.activity import Activity

    with Activity("checking"):
        return next(checks, None)


def _ask_nodes() -> Callable[[], Sequence[NodeStatus]] | None:
    """How the machines of the cluster are asked that this one is a node of; None for a machine alone."""
    from cluster.api.errors import ClusterError
    from cluster.node.home import read_home
    from cluster.node.state import state_path

    folder = state_path().parent
    try:
        if read_home(folder).record is None:
            return None
    except ClusterError:  # what is wrong with our files is found by others
        return None
    from cluster.actors.asking.listing import list_nodes
    from cluster.cli.nodes import running_stages

    return lambda: list_nodes(folder, running_stages(), measure_links=True)


def run(options: argparse.Namespace) -> int:
    from cluster.config import load_config
    from cluster.doctor.check import has_failed
    from cluster.doctor.run import diagnose

    settings = given_settings(options)
    is_given = bool(options.config) or any(value is not None for value in settings.values())
    config = with_projector(load_config(options.config, settings)) if is_given else None
    checks = []
    found = diagnose(config, options.port, _ask_nodes())
    while (check := _next_check(found)) is not None:
        checks.append(check)
        if options.output == "table":
            advice = f"; {check.advice}" if check.advice else ""
            print(printable(f"{MARKS[check.verdict]}  {check.name:16}  {check.found}{advice}"), flush=True)
    if options.output == "json":
        print(json.dumps([dataclasses.asdict(check) for check in checks], indent=1))
    elif has_failed(checks):
        print("something failed: see the lines that begin with FAIL", file=sys.stderr)
    return 1 if has_failed(checks) else 0
