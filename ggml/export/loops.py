"""``map`` and ``scan`` without loops: what they do to each row is written out, one row after the other.

A graph of ggml has no loops. How many rows there are must be a number of the export, and not a size that differs
between calls; longer loops than ``MAX_ROWS``, and ``while_loop``, whose length the data decide, stay as they are.
"""

from __future__ import annotations

from typing import Any

from ggml.export.branches import choose_in

#: The most rows that are written out.
MAX_ROWS = 256


def unroll(module: Any) -> None:
    """Write out the loops of a GraphModule, those within their bodies included."""
    graph = module.graph
    loops = [node for node in graph.nodes if getattr(node.target, "__name__", "") in ("map_impl", "scan")]
    for node in loops:
        body = getattr(module, node.args[0].target)
        unroll(body)
        choose_in(body)
        carried, rows, others = ((), *node.args[1:]) if node.target.__name__ == "map_impl" else node.args[1:]
        count = _count(rows)
        if count is not None and not any(one.op == "get_attr" for one in body.graph.nodes):
            _write_out(graph, node, body, list(carried), list(rows), list(others), count)
    if loops:
        graph.eliminate_dead_code()


def _count(rows: Any) -> int | None:
    """The number of rows, where it is known and not too large."""
    extents = [getattr(getattr(one, "meta", {}).get("val"), "shape", (None,))[0] for one in rows]
    known = {one for one in extents if isinstance(one, int)}  # sizes that differ between calls cannot be hashed
    count = known.pop() if len(known) == 1 and all(isinstance(one, int) for one in extents) else 0
    return count if 1 <= count <= MAX_ROWS else None


def _write_out(
    graph: Any, node: Any, body: Any, carried: list[Any], rows: list[Any], others: list[Any], count: int
) -> None:
    import torch

    places = [one for one in body.graph.nodes if one.op == "placeholder"]
    num_carried = len(carried)
    made: list[list[Any]] = []
    with graph.inserting_before(node):
        for number in range(count):
            given = []
            for source, place in zip(rows, places[num_carried:], strict=False):
                given.append(graph.call_function(torch.ops.aten.select.int, (source, 0, number)))
                given[-1].meta["val"] = place.meta["val"]
            results = graph.graph_copy(body.graph, dict(zip(places, [*carried, *given, *others], strict=True)))
            carried = list(results[:num_carried])
            made.append(list(results[num_carried:]))
        joined = []
        for parts, value in zip(zip(*made, strict=True), node.meta["val"][num_carried:], strict=True):
            joined.append(graph.call_function(torch.ops.aten.stack.default, (list(parts), 0)))
            joined[-1].meta["val"] = value
    found = [*carried, *joined]
    for user in list(node.users):
        user.replace_all_uses_with(found[user.args[1]])
        graph.erase_node(user)
    graph.erase_node(node)
