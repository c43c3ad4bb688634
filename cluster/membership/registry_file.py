"""The registry in the head's home: the door writes it, and commands on the head read it and remove nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cluster.api.errors import ClusterError
from cluster.membership.registry import Member, Registry
from cluster.messages.membership import NodeState, Versions
from cluster.node.disk import disk_error
from cluster.node.file_lock import file_lock
from cluster.node.private import read_private, write_private

NODES = "nodes.json"
FILE_VERSION = 1
_ADVICE = "set XDG_STATE_HOME"


@contextmanager
def open_registry(home: Path) -> Iterator[Registry]:
    """The registry of the cluster whose head has this home; what changed in the block is written behind it.

    One process at a time is in such a block. ClusterError where the file is damaged, or another user may have had a
    hand in it.
    """
    path = home / NODES
    try:
        with file_lock(path):
            registry = Registry(_read(path))
            before = registry.all
            yield registry
            if registry.all != before:
                text = json.dumps({"version": FILE_VERSION, "nodes": [asdict(one) for one in registry.all]}, indent=1)
                write_private(path, text.encode())
    except OSError as error:
        raise disk_error(path, error, _ADVICE) from error


def read_registry(home: Path) -> Registry:
    """The registry as it is now, to look at only. ClusterError as for `open_registry`."""
    path = home / NODES
    try:
        return Registry(_read(path))
    except OSError as error:
        raise disk_error(path, error, _ADVICE) from error


def _read(path: Path) -> list[Member]:
    try:
        raw: Any = json.loads(read_private(path, others_may_look=True))
        if raw["version"] != FILE_VERSION:
            raise ValueError("written by another version")
        return [_member(item) for item in raw["nodes"]]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ClusterError(
            f"{path}: no list of nodes ({error}); delete it, and let the nodes join again with a join string"
        ) from error


def _member(item: Any) -> Member:
    versions = Versions(**{field.name: item["versions"][field.name] for field in fields(Versions)})
    values = {field.name: item[field.name] for field in fields(Member)}
    member = Member(**values | {"versions": versions, "state": NodeState(item["state"])})
    texts = (member.name, member.host, member.fingerprint, member.key_hash, member.former_fingerprint)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a field of another kind")
    if not all(isinstance(number, int | float) for number in (member.joined_s, member.seen_s)):
        raise ValueError("a time of another kind")
    return member
