"""``cluster token``: what machines join by, made and taken back on the head."""

from __future__ import annotations

import argparse
import sys
from typing import Any

TTL = "1h"


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "token",
        help="make, list or revoke what machines join by",
        description="Join strings of the cluster whose head is this machine. Only a hash of each secret is kept here.",
    )
    what = parser.add_subparsers(title="what", metavar="create|ls|revoke", required=True)
    create = what.add_parser("create", help="make one, and print what to type on the machine that is to join")
    create.add_argument("--ttl", metavar="TIME", default=TTL, help=f"how long it counts (default: {TTL})")
    create.add_argument("--uses", metavar="N", type=int, default=1, help="how many machines it admits (default: 1)")
    create.set_defaults(run=_create)
    what.add_parser("ls", help="list those that machines can still join by").set_defaults(run=_list)
    revoke = what.add_parser("revoke", help="make some count no longer; who has joined stays")
    revoke.add_argument("id", nargs="+", help="ids as listed")
    revoke.set_defaults(run=_revoke)


def _create(options: argparse.Namespace) -> int:
    import time

    from cluster.duration import seconds
    from cluster.membership.inviting import head_home, invite, join_line
    from cluster.node.state import state_folder

    folder = state_folder()
    home = head_home(folder)
    made = invite(folder, seconds("--ttl", options.ttl), options.uses, time.time())
    if home is None:
        print("the cluster is not up; once it is, machines join with: cluster join HEAD:PORT --token", file=sys.stderr)
        print(made.text)
    else:
        print(join_line(home, made))
    return 0


def _list(options: argparse.Namespace) -> int:
    import time

    from cluster.membership.inviting import authority_of
    from cluster.node.state import state_folder
    from cluster.terminal.activity import duration
    from cluster.terminal.table import format_table
    from cluster.trust.token_file import open_tokens

    now_s, folder = time.time(), state_folder()
    authority_of(folder)
    rows = [["ID", "LEFT", "USES"]]
    with open_tokens(folder) as tokens:
        for token in tokens.list(now_s):
            rows.append([token.id, duration(token.end_s - now_s), f"{len(token.used_by)} of {token.uses}"])
    for line in format_table(rows):
        print(line)
    return 0


def _revoke(options: argparse.Namespace) -> int:
    from cluster.membership.inviting import authority_of
    from cluster.node.state import state_folder
    from cluster.trust.token_file import open_tokens

    folder = state_folder()
    authority_of(folder)
    with open_tokens(folder) as tokens:
        for token_id in dict.fromkeys(options.id):
            tokens.revoke(token_id)
    for token_id in dict.fromkeys(options.id):
        print(token_id)
    return 0
