"""The graph of a slice: some consecutive nodes, with what goes in and out as named tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ggml.programs.graph import Graph, Input, Output, Ref, Role, read_by, references
from ggml.programs.passes.rewriting import renamed, renamed_node
from ggml.programs.slices.lifetimes import lifetimes, state_spans
from ggml.programs.slices.places import Place, spec_of
from ggml.programs.trees import LEAF, Tree


def part(graph: Graph, places: Sequence[Place], first: int, end: int) -> Graph:
    """The slice [first, end) of the units that lie between ``places``, of which there is one more than of those.

    It takes and gives named tensors. What nobody computes in it and others behind it need goes through.
    """
    begin = places[first - 1].node if first else 0
    behind = places[end - 1].node if end <= len(places) else len(graph.nodes)
    coming = places[first - 1].values if first else _user_values(graph)
    going = places[end - 1].values if end <= len(places) else None
    home = {name: span[0] for name, span in state_spans(graph).items()}
    outputs = _outputs(graph, range(begin, behind), going, home)
    own = _needed(graph, range(begin, behind), outputs)
    needed = {value for node in own for value in read_by(graph.nodes[node])}
    needed |= {value for output in outputs for value in references(output.value)}
    kept = {output.name for output in outputs if output.role is Role.STATE}
    inputs = _inputs(graph, coming, needed, kept)
    numbers = {value: place for place, (value, _) in enumerate(inputs)}
    numbers |= {len(graph.inputs) + node: len(inputs) + place for place, node in enumerate(own)}
    return replace(
        graph,
        inputs=tuple([one for _, one in inputs]),
        nodes=tuple([renamed_node(graph.nodes[node], numbers) for node in own]),
        outputs=tuple([replace(output, value=renamed(output.value, numbers)) for output in outputs]),
        in_tree=Tree("tuple", (Tree("tuple"), _named(one.name for _, one in inputs if one.role is Role.USER))),
        out_tree=_named(output.name for output in outputs if output.role is Role.USER),
        stripped=(),
    )


def value_name(graph: Graph, value: int) -> str:
    """What a tensor that goes from slice to slice is called: no input of torch's has a dot in its name."""
    return graph.inputs[value].name if value < len(graph.inputs) else f"value.{value}"


def output_names(tree: Tree, prefix: str = "") -> Iterator[str]:
    """A name for each leaf of what a program gives: keys and numbers with dots between; "output" where it is one."""
    if tree.kind == "leaf":
        yield prefix or "output"
    keys = tree.keys or tuple(map(str, range(len(tree.items))))
    for key, item in zip(keys, tree.items, strict=True):
        yield from output_names(item, f"{prefix}.{key}" if prefix else key)


def _user_values(graph: Graph) -> tuple[int, ...]:
    return tuple([value for value, one in enumerate(graph.inputs) if one.role is Role.USER and one.spec is not None])


def _outputs(graph: Graph, nodes: range, going: tuple[int, ...] | None, home: Mapping[str, int]) -> list[Output]:
    """What a slice of these nodes gives: what goes on, or what the program gives, and the states that it keeps."""
    if going is None:
        names = iter(output_names(graph.out_tree))
        users = [replace(one, name=next(names)) for one in graph.outputs if one.role is Role.USER]
    else:
        users = [Output(value_name(graph, value), Role.USER, Ref(value)) for value in going]
    return users + [one for one in graph.outputs if one.role is Role.STATE and home[one.name] in nodes]


def _needed(graph: Graph, nodes: range, outputs: Sequence[Output]) -> list[int]:
    """The nodes of a slice in order: those in the range, and what they need of all that is worked out anew."""
    first, anew = len(graph.inputs), lifetimes(graph).anew
    found = {node for node in nodes if first + node not in anew}
    waiting = [value for node in found for value in read_by(graph.nodes[node])]
    waiting += [value for output in outputs for value in references(output.value)]
    while waiting:
        value = waiting.pop()
        if value in anew and value - first not in found:
            found.add(value - first)
            waiting += read_by(graph.nodes[value - first])
    return sorted(found)


def _inputs(graph: Graph, coming: Sequence[int], needed: set[int], kept: set[str]) -> list[tuple[int, Input]]:
    """The inputs of a slice, with the values that they are in the whole graph."""
    found: list[tuple[int, Input]] = []
    for value, one in enumerate(graph.inputs):
        if one.role is Role.STATE:
            is_here = one.name in kept
        else:
            is_here = value in coming or (value in needed and (one.role is Role.WEIGHT or one.spec is None))
        if is_here:
            found.append((value, one))
    for value in coming:
        if value >= len(graph.inputs):
            found.append((value, Input(value_name(graph, value), Role.USER, spec_of(graph, value))))
    return found


def _named(names: Iterator[str]) -> Tree:
    keys = tuple(names)
    return Tree("dict", (LEAF,) * len(keys), keys)
