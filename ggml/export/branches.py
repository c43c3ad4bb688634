"""``torch.cond`` without branches: both sides are computed, and each result is chosen element by element.

A graph of ggml has no branches. The sides of a ``cond`` change nothing outside of themselves, so that computing the one
that is not wanted costs time and nothing else.
"""

from __future__ import annotations

from typing import Any


def choose(exported: Any) -> Any:
    """The export with its branches in line, where a tensor without axes decides. Other ones stay as they are."""
    choose_in(exported.graph_module)
    return exported


def choose_in(module: Any) -> None:
    """As ``choose``, for a GraphModule."""
    graph = module.graph
    branching = [node for node in graph.nodes if getattr(node.target, "__name__", "") == "cond"]
    for node in branching:
        sides = [getattr(module, side.target) for side in node.args[1:3]]
        for side in sides:
            choose_in(side)
        if _decides(node.args[0]) and not any(_has_attributes(side.graph) for side in sides):
            _replace(graph, node, sides)
    if branching:
        graph.eliminate_dead_code()


def _decides(value: Any) -> bool:
    """Whether it is a tensor of one bool without axes, which ``where`` takes for every shape."""
    shape = getattr(getattr(value, "meta", {}).get("val"), "shape", None)
    return shape is not None and len(shape) == 0


def _has_attributes(graph: Any) -> bool:
    return any(node.op == "get_attr" for node in graph.nodes)


def _replace(graph: Any, node: Any, sides: list[Any]) -> None:
    import torch

    decision, _, _, operands = node.args
    with graph.inserting_before(node):
        given = []
        for side in sides:
            places = [one for one in side.graph.nodes if one.op == "placeholder"]
            given.append(graph.graph_copy(side.graph, dict(zip(places, operands, strict=True))))
        chosen = []
        for yes, no, value in zip(*given, node.meta["val"], strict=True):
            chosen.append(graph.call_function(torch.ops.aten.where.self, (decision, yes, no)))
            chosen[-1].meta["val"] = value
    for user in list(node.users):
        user.replace_all_uses_with(chosen[user.args[1]])
        graph.erase_node(user)
    graph.erase_node(node)
