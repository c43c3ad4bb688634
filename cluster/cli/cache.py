"""``cluster cache``: look into the slice store and clear it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "cache", help="list or remove stored slices", description="The slices of models kept on this machine."
    )
    what = parser.add_subparsers(title="what", metavar="ls|rm", required=True)
    what.add_parser("ls", help="list the stored slices").set_defaults(run=_list)
    remove = what.add_parser("rm", help="remove stored slices")
    remove.add_argument("key", nargs="*", help="keys as listed (a unique beginning is enough)")
    remove.add_argument(
        "--all", action="store_true", help="remove every slice, and what is remembered of remote models"
    )
    remove.set_defaults(run=_remove)


def _list(options: argparse.Namespace) -> int:
    from cluster.store.slices import SliceStore
    from cluster.terminal.table import format_bytes, format_table

    store = SliceStore()
    rows = [["KEY", "MODEL", "LAYERS", "SIZE", "LAST USED"]]
    for item in store.list():
        rows.append([item.key[:12], item.source_name, item.layers, format_bytes(item.size_bytes), item.last_used])
    rows += [
        [key[:12], "(unfinished download)", "", format_bytes(size_bytes), ""] for key, size_bytes in store.unfinished()
    ]
    for line in format_table(rows):
        print(line)
    return 0


def _remove(options: argparse.Namespace) -> int:
    from cluster.api.errors import UsageError
    from cluster.sources.cache import SourceCache
    from cluster.store.slices import SliceStore

    if bool(options.key) == options.all:
        raise UsageError("cache rm: name keys or --all; see: cluster cache ls")
    store = SliceStore()
    listed = [*(item.key for item in store.list()), *(key for key, _ in store.unfinished())]
    for key in listed if options.all else dict.fromkeys(_named(listed, key) for key in options.key):
        store.remove(key)
        print(key[:12])
    if options.all:
        SourceCache().clear()
    return 0


def _named(listed: Sequence[str], beginning: str) -> str:
    """The one key that begins so; UsageError if there is none, or more than one."""
    from cluster.api.errors import UsageError

    found = [key for key in listed if key.startswith(beginning)]
    if not beginning or len(found) != 1:
        raise UsageError(f"cache rm: {len(found)} stored slices begin with {beginning!r}; see: cluster cache ls")
    return found[0]
