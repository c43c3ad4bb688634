"""How users give inputs and get outputs: tuples, lists and dicts of tensors, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ggml.core.errors import ArgumentError

#: Deeper ones are no arguments of any model.
MAX_DEPTH = 32

KINDS = ("leaf", "none", "tuple", "list", "dict")


@dataclass(frozen=True, slots=True)
class Tree:
    """A leaf, None, or a container of others; ``keys`` are those of a dict, in the order of the leaves."""

    kind: str
    items: tuple[Tree, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def num_leaves(self) -> int:
        return 1 if self.kind == "leaf" else sum(item.num_leaves for item in self.items)


LEAF = Tree("leaf")


def flatten(tree: Tree, value: Any, path: str) -> Iterator[Any]:
    """The leaves of ``value`` in order. ArgumentError where it has another form than the tree."""
    if tree.kind == "leaf":
        yield value
    elif tree.kind == "none":
        if value is not None:
            raise ArgumentError("program", path, f"is {type(value).__name__}; the model was exported with None")
    elif tree.kind == "dict":
        if not isinstance(value, dict) or set(value) != set(tree.keys):
            found = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise ArgumentError("program", path, f"must be a dict with the keys {list(tree.keys)}, not {found}")
        for key, item in zip(tree.keys, tree.items, strict=True):
            yield from flatten(item, value[key], f"{path}[{key!r}]")
    else:
        if not isinstance(value, (tuple, list)) or len(value) != len(tree.items):
            found = str(len(value)) if isinstance(value, (tuple, list)) else type(value).__name__
            raise ArgumentError("program", path, f"must be a {tree.kind} of {len(tree.items)}, not {found}")
        for place, (one, item) in enumerate(zip(value, tree.items, strict=True)):
            yield from flatten(item, one, f"{path}[{place}]")


def unflatten(tree: Tree, leaves: Iterator[Any]) -> Any:
    """The value whose leaves these are."""
    if tree.kind == "leaf":
        return next(leaves)
    if tree.kind == "none":
        return None
    items = [unflatten(item, leaves) for item in tree.items]
    if tree.kind == "dict":
        return dict(zip(tree.keys, items, strict=True))
    return tuple(items) if tree.kind == "tuple" else items
