"""Heads of keys and values that are repeated for attention, which can read each of them for several queries."""

from __future__ import annotations

from ggml.programs.graph import Argument, Graph, Node
from ggml.programs.passes.matching import Values, arguments, matched

_ATTENTION = "aten.scaled_dot_product_attention.default"

_RESHAPES = ("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")


def with_grouped_heads(graph: Graph) -> Graph:
    """The graph with ``enable_gqa`` where keys and values were repeated before attention."""
    return matched(graph, _ATTENTION, _grouped)


def _grouped(values: Values, node: Node) -> Node | None:
    given = arguments(
        node, ("query", None), ("key", None), ("value", None), ("attn_mask", None), ("dropout_p", 0.0),
        ("is_causal", False), ("scale", None), ("enable_gqa", False),
    )  # fmt: skip
    if given is None or given[7] is not False:
        return None
    key, other = _unrepeated(values, node.args[1]), _unrepeated(values, node.args[2])
    if key is None or other is None:
        return None
    named = (("scale", given[6]), ("enable_gqa", True))
    return Node(_ATTENTION, (given[0], key, other, *given[3:6]), named, node.specs)


def _unrepeated(values: Values, argument: Argument) -> Argument | None:
    """The [B, heads, T, width] of which each head comes several times behind one another."""
    wide = values.shape(argument)
    repeat = values.maker(argument, "aten.repeat_interleave.self_int")
    given = (
        arguments(repeat, ("self", None), ("repeats", None), ("dim", None), ("output_size", None)) if repeat else None
    )
    if given is not None and given[2] in (1, -3) and len(wide) == 4:
        return given[0]
    reshaped = values.maker(argument, *_RESHAPES)
    expanded = values.maker(reshaped.args[0], "aten.expand.default") if reshaped else None
    inserted = values.maker(expanded.args[0], "aten.unsqueeze.default") if expanded else None
    if inserted is None or expanded is None or reshaped is None or inserted.args[1] not in (2, -3):
        return None
    narrow, five = values.shape(inserted.args[0]), values.shape(reshaped.args[0])
    if len(narrow) != 4 or len(five) != 5 or len(wide) != 4 or five[:2] + five[3:] != narrow:
        return None
    heads, times, rows = five[1], five[2], wide[1]
    is_repeated = all(isinstance(one, int) for one in (heads, times, rows)) and heads * times == rows  # type: ignore[operator]
    return inserted.args[0] if is_repeated and wide[2:] == narrow[2:] and wide[:1] == narrow[:1] else None
