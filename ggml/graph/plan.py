"""What has to be computed for some nodes, in an order in which it can be, and the key that tells such plans apart."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ggml.core.node import Node, Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """The pending part of a graph, in an order in which it can be computed.

    Two plans with equal ``key`` differ only in the contents of their leaves.
    """

    leaves: list[Node]
    pending: list[Node]
    recipes: list[Recipe]  # what makes the pending nodes; another thread may settle a node at any time
    outputs: list[int]  # places in leaves + pending
    key: Hashable


def plan(outputs: Sequence[Node], as_recorded: bool = False) -> Plan:
    """What has to be computed for these nodes. Linear in their number; never recurses.

    Each node comes just before the first that needs it. ``as_recorded``: in the order in which they were made, which is
    for functions that compute something twice so as not to keep it.
    """
    places: dict[int, int] = {}
    leaves, pending, recipes = _ordered(outputs)
    if as_recorded:
        order = sorted(range(len(pending)), key=lambda place: pending[place].number)
        pending, recipes = [pending[place] for place in order], [recipes[place] for place in order]
    for node in (*leaves, *pending):
        places[id(node)] = len(places)
    steps = tuple(
        [
            (row.index, params, node.dtype.name, node.shape, *[places[id(source)] for source in inputs])
            for node, (row, inputs, params) in zip(pending, recipes, strict=True)
        ]
    )
    specs = tuple((node.shape, node.dtype.name) for node in leaves)
    wanted = [places[id(node)] for node in outputs]
    return Plan(leaves, pending, recipes, wanted, (outputs[0].device.native, specs, steps, tuple(wanted)))


def _ordered(outputs: Sequence[Node]) -> tuple[list[Node], list[Node], list[Recipe]]:
    """Leaves, and pending nodes with what makes them, sources before what uses them."""
    leaves: list[Node] = []
    pending: list[Node] = []
    recipes: list[Recipe] = []
    seen: set[int] = set()
    stack: list[tuple[Node, Recipe | None]] = [(node, None) for node in reversed(outputs)]
    while stack:
        node, recipe = stack.pop()
        if recipe is not None:
            pending.append(node)
            recipes.append(recipe)
        elif id(node) not in seen:
            seen.add(id(node))
            recipe = node.recipe
            if recipe is None:
                leaves.append(node)
            else:
                stack.append((node, recipe))
                stack += [(source, None) for source in recipe[1] if id(source) not in seen]
    return leaves, pending, recipes


def needs_arguments(node: Node) -> bool:
    """Whether the node is part of a function that is being traced, and cannot be computed."""
    return any(leaf.is_placeholder for leaf in _ordered([node])[0])
