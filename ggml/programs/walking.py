"""A graph on tensors: each node's rule in turn. Within ``ggml.compile`` this records; nothing here computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ggml.core.errors import ArgumentError, GgmlError, UnsupportedOpError
from ggml.programs.expressions import Apply, Symbol, evaluate
from ggml.programs.graph import Argument, Graph, Node, Ref
from ggml.programs.rules import RULES
from ggml.tensors.tensor import Tensor


def resolved(argument: Argument, values: Sequence[Any] | Mapping[int, Any], symbols: Sequence[int]) -> Any:
    """An argument as its rule takes it: tensors for references, numbers for expressions, lists for tuples."""
    if isinstance(argument, Ref):
        return values[argument.value]
    if isinstance(argument, (Symbol, Apply)):
        return evaluate(argument, symbols)
    if isinstance(argument, tuple):
        return [resolved(item, values, symbols) for item in argument]
    return argument


def applied(node: Node, values: Sequence[Any] | Mapping[int, Any], symbols: Sequence[int]) -> Any:
    """The result of one node. Every failure is a GgmlError that names the operation."""
    rule = RULES.get(node.op)
    if rule is None:
        raise UnsupportedOpError(node.op, "ggml", "there is no rule for it yet")
    try:
        args = [resolved(argument, values, symbols) for argument in node.args]
        kwargs = {name: resolved(argument, values, symbols) for name, argument in node.kwargs}
        return rule(*args, **kwargs)
    except GgmlError:
        raise
    except Exception as error:  # a program may come from a file that somebody changed, with arguments of any kind
        why = f"are not what it takes: {type(error).__name__}: {error}"
        raise ArgumentError(node.op, "arguments", why) from error


#: Elements of all tables that are worked out before a call, such as positions.
_MOST_WORKED_OUT = 1 << 26

#: Makes a value of those before it, in another way than its node's rule.
Maker = Callable[[Sequence[Any]], Any]


def walk(
    graph: Graph, inputs: Sequence[Any], symbols: Sequence[int], makers: Mapping[int, Maker] = MappingProxyType({})
) -> list[Any]:
    """The outputs in order, of a tensor for each input and the extents of this call. ``makers`` are by value."""
    values, num_worked_out = list(inputs), 0
    for value, node in enumerate(graph.nodes, len(inputs)):
        made = makers[value](values) if value in makers else applied(node, values, symbols)
        values.append(made)
        if isinstance(made, Tensor) and made._node.op is None and made._node.buffer is not None:
            num_worked_out += made.numel()
            if num_worked_out > _MOST_WORKED_OUT:
                raise ArgumentError(node.op, "the tables", f"of a call have over {_MOST_WORKED_OUT} elements together")
    return [resolved(output.value, values, symbols) for output in graph.outputs]
