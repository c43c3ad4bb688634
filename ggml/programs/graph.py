"""What a program is: inputs, nodes that name operations of ATen, outputs. Frozen, and free of torch.

Values have numbers: the inputs first, in their order, then one for each node. A node reads only values before its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ggml.core.dtypes import DType
from ggml.programs.expressions import Apply, Extent, Symbol
from ggml.programs.trees import Tree

#: What a file says it is written in, and what this library reads.
VERSION = 1

#: The key of the program in the header of its file.
KEY = "ggml.program"


@dataclass(frozen=True, slots=True)
class Ref:
    """A value, by its number."""

    value: int


#: An argument of a node. Tuples are lists of arguments.
Argument = Ref | Symbol | Apply | DType | tuple[Any, ...] | bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What is known of a tensor before any call."""

    dtype: DType
    shape: tuple[Extent, ...]


class Role(enum.Enum):
    """Where an input comes from, or an output goes to."""

    USER = "user"
    WEIGHT = "weight"  # a parameter, a buffer or a constant that no call changes
    STATE = "state"  # a buffer that each call gives a new value


@dataclass(frozen=True, slots=True)
class Input:
    """A value from outside. ``name`` is the parameter's for a user's, else the key of the tensor.

    A user's input without ``spec`` is the Python value ``constant``, which the model was exported for.
    """

    name: str
    role: Role
    spec: TensorSpec | None
    constant: bool | int | float | str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A value for outside: a user's, or the new value of the state ``name``."""

    name: str
    role: Role
    value: Argument


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. ``specs`` has one entry for each tensor of the result, which is a tuple if ``is_tuple``."""

    op: str
    args: tuple[Argument, ...]
    kwargs: tuple[tuple[str, Argument], ...] = ()
    specs: tuple[TensorSpec, ...] = ()
    is_tuple: bool = False

    @property
    def spec(self) -> TensorSpec | None:
        """What is known of the result; None where it is no single tensor."""
        return self.specs[0] if len(self.specs) == 1 and not self.is_tuple else None


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """An extent that differs between calls, within [``low``, ``high``]; ``hint`` is that of the example."""

    name: str
    low: int
    high: int
    hint: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole program without its weights. The trees say in what form users give inputs and get outputs."""

    symbols: tuple[SymbolSpec, ...]
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    in_tree: Tree
    out_tree: Tree
    stripped: tuple[tuple[str, int], ...] = ()  # operations that lowering had no need to keep, and how many of each

    @property
    def hints(self) -> tuple[int, ...]:
        """The example's symbols."""
        return tuple([symbol.hint for symbol in self.symbols])

    @property
    def users(self) -> list[Input]:
        """The inputs that a call gives."""
        return [one for one in self.inputs if one.role is Role.USER]

    @property
    def held(self) -> list[Input]:
        """The inputs that the program has: weights and states."""
        return [one for one in self.inputs if one.role is not Role.USER]


def references(argument: Argument) -> Iterator[int]:
    """The values that an argument reads."""
    if isinstance(argument, Ref):
        yield argument.value
    elif isinstance(argument, tuple):
        for item in argument:
            yield from references(item)


def read_by(node: Node) -> Iterator[int]:
    """The values that a node reads."""
    yield from references(node.args)
    for _, argument in node.kwargs:
        yield from references(argument)
