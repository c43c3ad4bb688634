"""Bytes as a graph, field by field. What they say together is checked in ``checking``."""

from __future__ import annotations

from typing import Any, NoReturn

from google.protobuf.message import DecodeError

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import DTypeError, FileFormatError
from ggml.core.node import MAX_RANK
from ggml.programs.checking import check
from ggml.programs.encoding import ROLES
from ggml.programs.expressions import FUNCTIONS, MAX_DEPTH, Apply, Expression, Extent, Symbol
from ggml.programs.graph import VERSION, Argument, Graph, Input, Node, Output, Ref, Role, SymbolSpec, TensorSpec
from ggml.programs.trees import KINDS, Tree
from ggml.programs.trees import MAX_DEPTH as MAX_TREE_DEPTH
from protos import program_pb2 as pb

_ROLES = {number: role for role, number in ROLES.items()}

# Lists of arguments are lists of numbers or tensors; a list of lists is rare, deeper ones are none.
_MAX_LIST_DEPTH = 4

_MAX_EXTENT = 1 << 46


def decode(raw: bytes, path: str) -> Graph:
    """A graph that is sound in every field. FileFormatError, which names ``path`` and the field, where it is not."""
    message = pb.Program()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        raise FileFormatError(path, "program", "is no message of protos/program.proto") from None
    if message.version != VERSION:
        raise FileFormatError(path, "program.version", f"is {message.version}; this library reads {VERSION}")
    graph = _Decoder(path, len(message.symbols)).graph(message)
    check(graph, path)
    return graph


class _Decoder:
    """One file on its way."""

    def __init__(self, path: str, num_symbols: int) -> None:
        self.path, self.num_symbols = path, num_symbols

    def fail(self, field: str, why: str) -> NoReturn:
        raise FileFormatError(self.path, field, why)

    def graph(self, message: pb.Program) -> Graph:
        return Graph(
            symbols=tuple([self.symbol(place, one) for place, one in enumerate(message.symbols)]),
            inputs=tuple([self.input(f"inputs[{place}]", one) for place, one in enumerate(message.inputs)]),
            nodes=tuple([self.node(f"nodes[{place}]", one) for place, one in enumerate(message.nodes)]),
            outputs=tuple([self.output(f"outputs[{place}]", one) for place, one in enumerate(message.outputs)]),
            in_tree=self.tree("in_tree", message.in_tree),
            out_tree=self.tree("out_tree", message.out_tree),
            stripped=tuple([(one.op, one.count) for one in message.stripped]),
        )

    def symbol(self, place: int, one: pb.Symbol) -> SymbolSpec:
        if not 0 <= one.low <= one.hint <= one.high <= _MAX_EXTENT:
            self.fail(f"symbols[{place}]", f"has {one.hint} within [{one.low}, {one.high}]")
        return SymbolSpec(one.name, one.low, one.high, one.hint)

    def input(self, field: str, one: pb.Input) -> Input:
        role = self.role(field, one.role)
        if one.HasField("spec"):
            if one.HasField("constant"):
                self.fail(field, "is both a tensor and a constant")
            return Input(one.name, role, self.spec(field, one.spec))
        constant: Any = self.argument(field, one.constant)
        if role is not Role.USER or not (constant is None or isinstance(constant, (bool, int, float, str))):
            self.fail(field, "is neither a tensor nor a constant")
        return Input(one.name, role, None, constant)

    def output(self, field: str, one: pb.Output) -> Output:
        return Output(one.name, self.role(field, one.role), self.argument(field, one.value))

    def role(self, field: str, number: int) -> Role:
        found = [role for known, role in _ROLES.items() if known == number]
        if not found:
            self.fail(field, f"has the unknown role {number}")
        return found[0]

    def node(self, field: str, one: pb.Node) -> Node:
        args = tuple([self.argument(f"{field}.args[{place}]", item) for place, item in enumerate(one.args)])
        kwargs = tuple([(item.name, self.argument(f"{field}.{item.name}", item.argument)) for item in one.kwargs])
        specs = tuple([self.spec(field, spec) for spec in one.specs])
        return Node(one.op, args, kwargs, specs, one.is_tuple)

    def argument(self, field: str, one: pb.Argument, depth: int = 0) -> Argument:
        kind = one.WhichOneof("kind")
        if kind == "value":
            return Ref(one.value)
        if kind == "dtype":
            return self.dtype(field, one.dtype)
        if kind == "expression":
            return self.expression(field, one.expression)
        if kind == "items":
            if depth == _MAX_LIST_DEPTH:
                self.fail(field, f"has lists deeper than {_MAX_LIST_DEPTH}")
            return tuple([self.argument(field, item, depth + 1) for item in one.items.items])
        if kind in ("boolean", "integer", "real", "text"):
            plain: bool | int | float | str = getattr(one, kind)
            return plain
        if kind is None:
            self.fail(field, "has no value")
        return None

    def dtype(self, field: str, name: str) -> DType:
        try:
            return dtypes.dtype_named(name)
        except DTypeError:
            self.fail(field, f"has the unknown dtype {name[:40]!r}")

    def spec(self, field: str, one: pb.Spec) -> TensorSpec:
        if len(one.shape) > MAX_RANK:
            self.fail(field, f"has {len(one.shape)} axes; at most {MAX_RANK} are possible")
        return TensorSpec(self.dtype(field, one.dtype), tuple([self.extent(field, extent) for extent in one.shape]))

    def extent(self, field: str, one: pb.Expression) -> Extent:
        found = self.expression(field, one)
        if isinstance(found, float) or (isinstance(found, int) and not 0 <= found <= _MAX_EXTENT):
            self.fail(field, f"has the extent {found}")
        return found

    def expression(self, field: str, one: pb.Expression, depth: int = 0) -> Expression:
        kind = one.WhichOneof("kind")
        if kind == "integer":
            return one.integer
        if kind == "real":
            return one.real
        if kind == "symbol":
            if one.symbol >= self.num_symbols:
                self.fail(field, f"names the symbol {one.symbol} of {self.num_symbols}")
            return Symbol(one.symbol)
        if kind is None or depth == MAX_DEPTH:
            self.fail(field, "has an expression without a value" if kind is None else "has too deep an expression")
        name, count = one.apply.function, len(one.apply.arguments)
        if name not in FUNCTIONS:
            self.fail(field, f"has the unknown function {name[:40]!r}")
        takes = FUNCTIONS[name][1]
        if (count < 1) if takes is None else (count != takes):
            self.fail(field, f"gives {name} {count} arguments")
        return Apply(name, tuple([self.expression(field, argument, depth + 1) for argument in one.apply.arguments]))

    def tree(self, field: str, one: pb.Tree, depth: int = 0) -> Tree:
        if one.kind not in KINDS or depth == MAX_TREE_DEPTH:
            self.fail(field, f"is of the kind {one.kind[:40]!r}" if depth < MAX_TREE_DEPTH else "is too deep")
        items = tuple([self.tree(field, item, depth + 1) for item in one.items])
        keys = tuple(one.keys)
        if one.kind in ("leaf", "none") and (items or keys):
            self.fail(field, f"has a {one.kind} with items")
        if len(keys) != (len(items) if one.kind == "dict" else 0) or len(set(keys)) != len(keys):
            self.fail(field, f"has a {one.kind} of {len(items)} with the keys {list(keys)[:8]}")
        return Tree(one.kind, items, keys)
