"""The next token of several texts in one call: a program of one text, written anew with a row for each of several.

What goes token by token goes for all rows at once, so that weights are read once. What looks at a state, such as
attention to the keys of a text, is there once for each row, with the states of that row's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ggml.programs.expressions import Apply, Symbol, evaluate, symbols_of
from ggml.programs.graph import Argument, Graph, Input, Node, Output, Ref, Role, TensorSpec, read_by
from ggml.programs.passes.dead import without_dead
from ggml.programs.states import row_name

Meaning = Literal["batch", "count"]

#: A file may have very many operations that look at states; of those that models have, 32 texts make some ten thousand.
MAX_NODES = 1 << 17


def joint(
    graph: Graph, symbols: Sequence[Meaning], positions: Sequence[str], context_length: int, num_rows: int
) -> Graph | None:
    """The graph for so many texts, or None for a program that cannot be written so.

    ``symbols`` say what each extent is that a call brings; ``positions`` are the inputs [tokens] that take those;
    states hold ``context_length`` tokens, 0 if that is not known. User's inputs have a row for each text on the axis of
    the tokens; states are those of each row, by ``row_name``. That no operation looks from one token at another, but
    through states, is for the caller to find out.
    """
    states = [one.spec.shape for one in graph.inputs if one.role is Role.STATE and one.spec]
    if "count" not in symbols or not all(isinstance(extent, int) for shape in states for extent in shape):
        return None
    try:
        return without_dead(_Joint(graph, symbols, positions, context_length, num_rows).graph())
    except _NotJointError:
        return None


class _NotJointError(Exception):
    """There is something in the graph that has no such form."""


@dataclass(frozen=True, slots=True)
class _All:
    """One value for all rows: along this axis, or the same for each."""

    value: int
    axis: int | None


@dataclass(frozen=True, slots=True)
class _Each:
    """A value of each row; with one token along this axis, if it has one."""

    values: tuple[int, ...]
    axis: int | None


class _Joint:
    def __init__(
        self, graph: Graph, symbols: Sequence[Meaning], positions: Sequence[str], context_length: int, num_rows: int
    ) -> None:
        self._old, self._num_rows, self._context_length = graph, num_rows, context_length
        self._count = Symbol(symbols.index("count"))
        self._single = tuple([1] * len(symbols))
        self._many = tuple([num_rows if one == "count" else 1 for one in symbols])
        self._positions = {value for value, one in enumerate(graph.inputs) if one.name in positions}
        self._inputs: list[Input] = []
        self._nodes: list[Node] = []
        self._specs: list[TensorSpec | None] = []
        self._new: dict[int, _All | _Each] = {}
        self._rows: dict[tuple[int, int], int] = {}  # what is cut of a value for a row

    def graph(self) -> Graph:
        read = {value for node in self._old.nodes for value in read_by(node)}
        for value, one in enumerate(self._old.inputs):
            if one.role is not Role.STATE:
                self._new[value] = _All(self._input(one, self._many), self._axis(one.spec))
            elif value in read:
                made = [self._input(replace(one, name=row_name(one.name, row)), ()) for row in range(self._num_rows)]
                self._new[value] = _Each(tuple(made), None)
        for value, node in enumerate(self._old.nodes, len(self._old.inputs)):
            self._new[value] = self._position_of(node) or self._written(node)
        outputs = [made for one in self._old.outputs for made in self._outputs(one)]
        return replace(
            self._old, symbols=(), inputs=tuple(self._inputs), nodes=tuple(self._nodes), outputs=tuple(outputs)
        )

    def _input(self, one: Input, symbols: Sequence[int]) -> int:
        spec = one.spec and _known(one.spec, symbols)
        self._inputs.append(replace(one, spec=spec))
        self._specs.append(spec)
        return len(self._inputs) - 1

    def _node(self, node: Node) -> int:
        if len(self._nodes) == MAX_NODES:
            raise _NotJointError
        self._nodes.append(node)
        self._specs.append(node.spec)
        return len(self._inputs) + len(self._nodes) - 1

    def _axis(self, spec: TensorSpec | None) -> int | None:
        """Where a value has a place for each token."""
        if spec is None:
            return None
        found = [axis for axis, extent in enumerate(spec.shape) if extent == self._count]
        others = [one for one in spec.shape if isinstance(one, Apply) and self._count.place in symbols_of(one)]
        if len(found) > 1 or others:
            raise _NotJointError
        return found[0] if found else None

    def _position_of(self, node: Node) -> _All | _Each | None:
        """The positions themselves, where they are worked out from the first one: ``arange(count) + positions[0]``."""
        if node.op != "aten.add.Tensor" or len(node.args) != 2 or node.kwargs:
            return None
        sources = [self._source(argument) for argument in node.args]
        for counted, first in (sources, sources[::-1]):
            if counted is None or first is None or counted.op != "aten.arange.default" or first.op != "aten.select.int":
                continue
            given = first.args[0]
            is_first = len(first.args) == 3 and first.args[1:] == (0, 0) and isinstance(given, Ref)
            if is_first and counted.args == (self._count,) and given.value in self._positions:  # type: ignore[union-attr]
                spec = self._old.inputs[given.value].spec  # type: ignore[union-attr]
                if spec is not None and node.spec == spec:
                    return self._new[given.value]  # type: ignore[union-attr]
        return None

    def _source(self, argument: Argument) -> Node | None:
        """The node that makes an argument."""
        place = argument.value - len(self._old.inputs) if isinstance(argument, Ref) else -1
        return self._old.nodes[place] if place >= 0 else None

    def _written(self, node: Node) -> _All | _Each:
        """A node as it was, for all rows; or once for each, where it looks at what only one has, or at one of all."""
        given = [self._new.get(value) for value in read_by(node)]
        if any(one is None for one in given):
            raise _NotJointError
        axis = self._axis(node.spec)
        has_rows = any(isinstance(one, _All) and one.axis is not None for one in given)
        keeps_rows = axis is not None or node.is_tuple  # of which the parts have them
        if not any(isinstance(one, _Each) for one in given) and (keeps_rows or not has_rows):
            return _All(self._node(self._copied(node, None)), axis)
        if node.spec is None:
            raise _NotJointError
        made = _Each(tuple([self._node(self._copied(node, row)) for row in range(self._num_rows)]), axis)
        # What has a place for each token of the text, such as keys or weights of attention, stays apart.
        return made if axis is None or self._context_length in node.spec.shape else self._together(made)

    def _copied(self, node: Node, row: int | None) -> Node:
        symbols = self._many if row is None else self._single
        return replace(
            node,
            args=tuple([self._argument(one, row, symbols) for one in node.args]),
            kwargs=tuple([(name, self._argument(one, row, symbols)) for name, one in node.kwargs]),
            specs=tuple([_known(spec, symbols) for spec in node.specs]),
        )

    def _argument(self, argument: Argument, row: int | None, symbols: Sequence[int]) -> Argument:
        if isinstance(argument, Ref):
            return Ref(self._value(self._new[argument.value], row))
        if isinstance(argument, tuple):
            return tuple([self._argument(one, row, symbols) for one in argument])
        return evaluate(argument, symbols) if isinstance(argument, (Symbol, Apply)) else argument

    def _value(self, made: _All | _Each, row: int | None) -> int:
        """For all rows, or for one of them."""
        if isinstance(made, _Each):
            assert row is not None, "who reads what only one row has is there for each row"
            return made.values[row]
        if row is None or made.axis is None:
            return made.value
        if (made.value, row) not in self._rows:
            spec = self._specs[made.value]
            assert spec is not None
            cut = replace(spec, shape=(*spec.shape[: made.axis], 1, *spec.shape[made.axis + 1 :]))
            args = (Ref(made.value), made.axis, row, row + 1)
            self._rows[made.value, row] = self._node(Node("aten.slice.Tensor", args, (), (cut,)))
        return self._rows[made.value, row]

    def _together(self, made: _Each, axis: int | None = None) -> _All:
        """The values of all rows along their axis, or along another one."""
        along = made.axis if axis is None else axis
        spec = self._specs[made.values[0]]
        if along is None or spec is None or len(spec.shape) <= along or spec.shape[along] != 1:
            raise _NotJointError
        shape = (*spec.shape[:along], self._num_rows, *spec.shape[along + 1 :])
        args = (tuple([Ref(value) for value in made.values]), along)
        return _All(self._node(Node("aten.cat.default", args, (), (replace(spec, shape=shape),))), along)

    def _outputs(self, output: Output) -> Iterator[Output]:
        """A user's, with a row for each text; a state's, once for each row. One that nothing reads is left out."""
        if not isinstance(output.value, Ref):
            raise _NotJointError
        if output.role is Role.USER:
            made = self._new[output.value.value]
            whole = made if isinstance(made, _All) else self._together(made, 0 if made.axis is None else None)
            yield replace(output, value=Ref(whole.value))
            return
        if not any(one.name == row_name(output.name, 0) for one in self._inputs):
            return
        made = self._new[output.value.value]
        if not isinstance(made, _Each):
            raise _NotJointError
        for row, value in enumerate(made.values):
            yield replace(output, name=row_name(output.name, row), value=Ref(value))


def _known(spec: TensorSpec, symbols: Sequence[int]) -> TensorSpec:
    """With numbers as extents."""
    shape = tuple([one if isinstance(one, int) else int(evaluate(one, symbols)) for one in spec.shape])
    return replace(spec, shape=shape)
