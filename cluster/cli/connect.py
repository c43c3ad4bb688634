"""``cluster connect``: what a client elsewhere needs, as a file."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cluster.api.errors import UsageError

if TYPE_CHECKING:
    from cluster.client.config_file import ClusterFile


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "connect",
        help="print what clients elsewhere connect with",
        description="Print a file with the cluster's address, by what it is known, and the key of clients. "
        "On a node of the cluster nothing is to be given; elsewhere an address and a key are.",
        epilog="to use it: cluster connect > cluster.toml; chmod 600 cluster.toml; cluster run --connect cluster.toml",
    )
    parser.add_argument("address", nargs="?", metavar="HOST:PORT", help="where the cluster answers clients")
    parser.add_argument("--key", metavar="-|@FILE", help="a client key, on standard input or in a file")
    parser.add_argument(
        "--print-key", action="store_true", help="on a node: print the client key, one line, in place of the file"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cluster.client.sync import connect

    file = _met(options.address, options.key) if options.key else _own(options.address)
    with connect(file):
        pass
    print(_key(file) if options.print_key else file.text, end="")
    print(f"the cluster at {file.address} has answered; who has this can use it", file=sys.stderr)
    return 0


def _own(address: str | None) -> ClusterFile:
    from cluster.client.own_home import own_file

    return own_file(address)


def _met(address: str | None, given: str) -> ClusterFile:
    """The authority comes from whoever answers; it is believed because its hash is in the key."""
    import time

    from cluster.cli.hidden import read_given
    from cluster.client.config_file import ClusterFile
    from cluster.membership.meeting import meet
    from cluster.trust.client_key import ClientKey
    from cluster.trust.identity import head_server_name
    from cluster.wire.transport.channel import check_address, host_of, port_of

    if not address:
        raise UsageError("HOST:PORT: it is missing; give where the cluster answers clients, beside its --key")
    if given != "-" and not given.startswith("@"):
        raise UsageError("--key: all users of a machine can read arguments; give it in a file, @FILE, or on stdin, -")
    check_address(address)
    key = ClientKey.of_text(read_given("--key", given))
    met = meet(host_of(address), port_of(address), key.ca_hash, time.time(), told_by="cluster connect --print-key")
    name = head_server_name(met.head.cluster_id)
    return ClusterFile(address, key.secret, name, met.ca_pem.decode("ascii"))


def _key(file: ClusterFile) -> str:
    from cluster.trust.certificate import ca_hash
    from cluster.trust.client_key import ClientKey

    if not file.ca_pem:
        raise UsageError("--print-key: this cluster has no certificates to be known by; print the file, without it")
    return f"{ClientKey(file.key, ca_hash(file.ca_pem.encode())).text}\n"
