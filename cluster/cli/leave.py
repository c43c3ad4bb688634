"""``cluster leave``: this machine goes out of its cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cluster.api.errors import UsageError

END_S = 30.0


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "leave",
        help="take this machine out of its cluster",
        description="On a machine that joined: ask the head to move its layers to the others, and then end what runs "
        "here. It may come back with: cluster join",
    )
    parser.add_argument("--force", action="store_true", help="go at once, whoever computes here; also without a head")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.membership.returning import members_of
    from cluster.node.home import read_home
    from cluster.node.state import state_folder
    from cluster.terminal.activity import Activity

    folder = state_folder()
    home = read_home(folder)
    if home.record is None:
        raise UsageError("leave: this machine is no node of a cluster")
    if home.record.is_head:
        raise UsageError("leave: this machine is the head of its cluster, which ends with: cluster down")
    if not options.force:
        with members_of(home) as members, Activity("the head moves what is computed here"):
            members.leave("cluster leave")
    _end_attendant(folder)
    print(f"{home.record.name} has left", file=sys.stderr)
    return 0


def _end_attendant(folder: Path) -> None:
    """What attends to this node ends all that it has started; what it left behind, if anything, is ended here."""
    from cluster.actors.nodes.joined_ray import JoinedRay
    from cluster.node.joined_state import read_joined, remove_joined
    from cluster.node.processes import end_process

    state = read_joined(folder)
    if state is not None:
        end_process(state.pid, state.start_ticks, grace_s=END_S)
        JoinedRay(folder).end()
        remove_joined(folder)
