"""``cluster nodes``: a row per machine."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.api.status import StageFacts


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "nodes",
        help="show the machines of the cluster",
        description="On any node: a row per machine, with its devices and what is free of their memory. Wide and JSON "
        "measure the links between the machines, too.",
    )
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table")
    what = parser.add_subparsers(title="what", metavar="rm")
    remove = what.add_parser("rm", help="on the head: machines whose certificates are to be worth nothing any more")
    remove.add_argument("node", nargs="+", metavar="NODE")
    remove.set_defaults(run=_remove)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.actors.asking.listing import list_nodes
    from cluster.node.state import state_folder
    from cluster.terminal.activity import Activity
    from cluster.terminal.nodes_table import node_record, print_nodes

    measure = options.output != "table"
    with Activity("asking the nodes, and measuring the links between them" if measure else "asking the nodes"):
        nodes = list_nodes(state_folder(), running_stages(), measure_links=measure)
    if options.output == "json":
        print(json.dumps([node_record(node) for node in nodes]))
    else:
        print_nodes(nodes, wide=options.output == "wide")
    return 0


def running_stages() -> list[StageFacts]:
    """Those that run; none where no model is served now."""
    from cluster.api.errors import ClusterError
    from cluster.client.sync import connect

    try:
        with connect() as client:
            return [stage.facts for stage in client.status().stages]
    except ClusterError:
        return []


def _remove(options: argparse.Namespace) -> int:
    from cluster.membership.inviting import authority_of
    from cluster.membership.registry_file import open_registry
    from cluster.node.state import state_folder

    folder = state_folder()
    authority_of(folder)
    with open_registry(folder) as registry:
        for name in dict.fromkeys(options.node):
            registry.remove(name)
    for name in dict.fromkeys(options.node):
        print(name)
    print("where they still run, they end within seconds", file=sys.stderr)
    return 0
