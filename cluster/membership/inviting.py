"""What is given to machines so that they can join: made on the head, by `cluster up` and `cluster token`."""

from __future__ import annotations

from pathlib import Path

from cluster.api.errors import UsageError
from cluster.node.home import Home, read_home
from cluster.trust.authority import Authority
from cluster.trust.join_string import JoinString
from cluster.trust.kept_authority import read_authority
from cluster.trust.token_file import open_tokens
from cluster.wire.transport.channel import join_address

NO_HEAD = "this machine is the head of no cluster that others can join"
START = "start one here: cluster up --advertise-address ADDRESS; or run this on the head"


def invite(folder: Path, ttl_s: float, uses: int, now_s: float) -> JoinString:
    """A new join string of the cluster whose head has the home `folder`. `now_s`: seconds since 1970.

    UsageError where this machine is no head; CapacityError where there are too many tokens; ClusterError.
    """
    authority = authority_of(folder)
    with open_tokens(folder) as tokens:
        token_id, secret = tokens.create(ttl_s, uses, now_s)
    return JoinString(token_id, secret, authority.hash)


def join_line(home: Home, join_string: JoinString) -> str:
    """What to type on a machine that is to join. `home`: the head's, with its record."""
    assert home.record is not None
    return f"cluster join {join_address(home.record.host, home.record.ports.join)} --token {join_string.text}"


def head_home(folder: Path) -> Home | None:
    """The home of the head; None where its cluster is not up. UsageError where this machine is no head."""
    authority, home = authority_of(folder), read_home(folder)
    if home.record is None:
        return None
    if home.record.cluster_id != authority.cluster_id or not home.record.is_head:
        raise UsageError(
            f"{NO_HEAD}: it is node {home.record.name} of the one whose head is {home.record.head_host}; run it there"
        )
    return home


def authority_of(folder: Path) -> Authority:
    """UsageError where this machine is no head; ClusterError where its authority is damaged."""
    try:
        return read_authority(folder)
    except FileNotFoundError as error:
        raise UsageError(f"{NO_HEAD}; {START}") from error
