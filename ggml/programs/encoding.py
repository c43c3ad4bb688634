"""A graph as bytes: the messages of ``protos/program.proto``."""

from __future__ import annotations

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError
from ggml.programs.expressions import Apply, Expression, Symbol
from ggml.programs.graph import VERSION, Argument, Graph, Input, Node, Output, Ref, Role, TensorSpec
from ggml.programs.trees import Tree
from protos import program_pb2 as pb

ROLES = {Role.USER: pb.ROLE_USER, Role.WEIGHT: pb.ROLE_WEIGHT, Role.STATE: pb.ROLE_STATE}


def encode(graph: Graph) -> bytes:
    """The bytes of a graph, the same each time."""
    message = pb.Program(
        version=VERSION,
        symbols=[pb.Symbol(name=one.name, low=one.low, high=one.high, hint=one.hint) for one in graph.symbols],
        inputs=[_input(one) for one in graph.inputs],
        nodes=[_node(one) for one in graph.nodes],
        outputs=[_output(one) for one in graph.outputs],
        in_tree=_tree(graph.in_tree),
        out_tree=_tree(graph.out_tree),
        stripped=[pb.Stripped(op=op, count=count) for op, count in graph.stripped],
    )
    return message.SerializeToString(deterministic=True)


def _input(one: Input) -> pb.Input:
    if one.spec is None:
        return pb.Input(name=one.name, role=ROLES[one.role], constant=_argument(one.constant))
    return pb.Input(name=one.name, role=ROLES[one.role], spec=_spec(one.spec))


def _output(one: Output) -> pb.Output:
    return pb.Output(name=one.name, role=ROLES[one.role], value=_argument(one.value))


def _node(node: Node) -> pb.Node:
    return pb.Node(
        op=node.op,
        args=[_argument(argument) for argument in node.args],
        kwargs=[pb.NamedArgument(name=name, argument=_argument(argument)) for name, argument in node.kwargs],
        specs=[_spec(spec) for spec in node.specs],
        is_tuple=node.is_tuple,
    )


def _argument(argument: Argument) -> pb.Argument:
    if argument is None:
        return pb.Argument(none=True)
    if isinstance(argument, Ref):
        return pb.Argument(value=argument.value)
    if isinstance(argument, bool):
        return pb.Argument(boolean=argument)
    if isinstance(argument, int):
        _need_64_bits(argument)
        return pb.Argument(integer=argument)
    if isinstance(argument, float):
        return pb.Argument(real=argument)
    if isinstance(argument, str):
        return pb.Argument(text=argument)
    if isinstance(argument, DType):
        return pb.Argument(dtype=argument.name)
    if isinstance(argument, tuple):
        return pb.Argument(items=pb.Arguments(items=[_argument(item) for item in argument]))
    return pb.Argument(expression=_expression(argument))


def _need_64_bits(number: int) -> None:
    if not -(1 << 63) <= number < 1 << 63:
        raise ArgumentError("save", "a number of the program", f"does not fit into 64 bits: {number}")


def _expression(expression: Expression) -> pb.Expression:
    if isinstance(expression, Symbol):
        return pb.Expression(symbol=expression.place)
    if isinstance(expression, Apply):
        arguments = [_expression(argument) for argument in expression.arguments]
        return pb.Expression(apply=pb.Application(function=expression.function, arguments=arguments))
    if isinstance(expression, int):
        _need_64_bits(expression)
        return pb.Expression(integer=expression)
    return pb.Expression(real=expression)


def _spec(spec: TensorSpec) -> pb.Spec:
    return pb.Spec(dtype=spec.dtype.name, shape=[_expression(extent) for extent in spec.shape])


def _tree(tree: Tree) -> pb.Tree:
    return pb.Tree(kind=tree.kind, items=[_tree(item) for item in tree.items], keys=tree.keys)
