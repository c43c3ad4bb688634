"""How those who ask a cluster say which: an address, or a file that knows more."""

from __future__ import annotations

import argparse
from pathlib import Path

from cluster.api.errors import UsageError


def add_address_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", help="host:port of the cluster (default: CLUSTER_ADDRESS, or the local one)")
    parser.add_argument(
        "--connect",
        metavar="FILE",
        help="a file such as cluster connect prints, for clusters elsewhere (default: CLUSTER_CONFIG)",
    )


def given_address(options: argparse.Namespace) -> str | Path | None:
    """What `connect()` takes as an address. UsageError where both were given."""
    if not options.connect:
        return str(options.address) if options.address else None
    if options.address:
        raise UsageError("--connect: there is an --address, too; give one of them")
    return Path(options.connect)
