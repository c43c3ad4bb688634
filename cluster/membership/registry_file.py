"""The registry in the head's home: the door writes it, and commands on the head read it and remove nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from cluster.membership.registry import Member, Registry
from cluster.messages.membership import NodeState, Versions
from cluster.node.record_file import RecordFile

NODES = "nodes.json"


@contextmanager
def open_registry(home: Path) -> Iterator[Registry]:
    """The registry of the cluster whose head has this home; what changed in the block is written behind it.

    One process at a time is in such a block. ClusterError where the file is damaged, or another user may have had a
    hand in it.
    """
    file = _file(home)
    with file.locked():
        registry = Registry(file.read())
        before = registry.all
        yield registry
        if registry.all != before:
            file.write(registry.all)


def read_registry(home: Path) -> Registry:
    """The registry as it is now, to look at only. ClusterError as for `open_registry`."""
    return Registry(_file(home).read())


def _file(home: Path) -> RecordFile[Member]:
    advice = "delete it, and let the nodes join again with a join string"
    return RecordFile(home / NODES, "nodes", _member, "list of nodes", advice)


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
