"""An ``ExportedProgram`` as a graph: inputs by name, nodes by ATen's names, arithmetic on extents as expressions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ggml.core.dtypes import DType, float32
from ggml.core.errors import UnsupportedOpError
from ggml.export.pytrees import tree_of
from ggml.export.symbols import expression
from ggml.export.tensors import dtype_of
from ggml.programs.expressions import Apply, Expression, Extent, Symbol
from ggml.programs.graph import Argument, Graph, Input, Node, Output, Ref, Role, SymbolSpec, TensorSpec
from ggml.programs.rules import RULES

_LARGEST = 1 << 40

# Where a tensor lies and in what order never matters here.
DROPPED = ("device", "layout", "pin_memory", "memory_format", "non_blocking", "copy", "generator", "dim_order")

# The class of ExecuTorch's operations, and what it calls those of ATen that it gives other arguments.
_EDGE = "EdgeOpOverload"
_EDGE_NAMES = {
    "dim_order_ops._clone_dim_order.default": "aten.clone.default",
    "dim_order_ops._to_dim_order_copy.default": "aten._to_copy.default",
}

_CHECKS = ("_assert", "sym_constrain", "_check")


class Translation:
    """One export on its way. ``values`` has for each node of torch's graph what other nodes' arguments are here."""

    def __init__(self, exported: Any) -> None:
        self.exported = exported
        self.signature = exported.graph_signature
        self.ranges = exported.range_constraints
        self.symbols: dict[str, int] = {}
        self.symbol_specs: list[SymbolSpec] = []
        self.inputs: list[Input] = []
        self.nodes: list[Node] = []
        self.outputs: list[Output] = []
        self.values: dict[Any, Argument] = {}
        self.stripped: Counter[str] = Counter()

    def graph(self) -> Graph:
        """The whole graph."""
        nodes = list(self.exported.graph.nodes)
        self._add_inputs(nodes)
        for node in nodes:
            if node.op == "placeholder" and is_complex(
                node.meta.get("val")
            ):  # its pairs are in the file, without their mark
                self._append(node, "pairs.view_as_complex.default", (self.values[node],))
        for node in nodes:
            if node.op not in ("placeholder", "output"):
                self._add_node(node)
        results = next(node for node in nodes if node.op == "output").args[0]
        for value, spec in zip(results, self.signature.output_specs, strict=True):
            self._add_output(value, spec)
        return self._whole()

    def face(self) -> Graph:
        """What users give and get, without anything between: the inputs and the trees, and no nodes."""
        self._add_inputs(list(self.exported.graph.nodes))
        return self._whole()

    def _add_inputs(self, nodes: Sequence[Any]) -> None:
        placeholders = [node for node in nodes if node.op == "placeholder"]
        for node in placeholders:
            self._find_symbols(node)
        for node, spec in zip(placeholders, self.signature.input_specs, strict=True):
            self._add_input(node, spec)

    def _whole(self) -> Graph:
        spec = self.exported.call_spec
        return Graph(
            symbols=tuple(self.symbol_specs),
            inputs=tuple(self.inputs),
            nodes=tuple(self.nodes),
            outputs=tuple(self.outputs),
            in_tree=tree_of(spec.in_spec),
            out_tree=tree_of(spec.out_spec),
            stripped=tuple(sorted(self.stripped.items())),
        )

    def _find_symbols(self, node: Any) -> None:
        for extent in getattr(node.meta.get("val"), "shape", ()):
            if not isinstance(extent, int):
                self._add_symbols(extent)

    def _add_symbols(self, extent: Any) -> None:
        for symbol in sorted(extent.node.expr.free_symbols, key=str):
            if str(symbol) not in self.symbols:
                self.symbols[str(symbol)] = len(self.symbol_specs)
                self.symbol_specs.append(self._symbol_spec(symbol, extent.node.shape_env))

    def _symbol_spec(self, symbol: Any, shape_env: Any) -> SymbolSpec:
        bounds = self.ranges.get(symbol)
        low, high = (0, _LARGEST) if bounds is None else (_bounded(bounds.lower), _bounded(bounds.upper))
        hint = getattr(shape_env, "backed_var_to_val", None) or shape_env.var_to_val
        return SymbolSpec(str(symbol), low, high, int(hint[symbol]))

    def _add_input(self, node: Any, spec: Any) -> None:
        kind, value = spec.kind.name, node.meta.get("val")
        self.values[node] = Ref(len(self.inputs))
        if kind == "USER_INPUT":
            self.inputs.append(self._user_input(node, spec, value))
        elif kind in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
            is_state = spec.target in self.signature.buffers_to_mutate.values()
            role = Role.STATE if is_state else Role.WEIGHT
            self.inputs.append(Input(spec.target, role, self._spec(value)))
        else:
            raise UnsupportedOpError("lower", "ggml", f"the input {node.name} is a {kind.lower()}")

    def _user_input(self, node: Any, spec: Any, value: Any) -> Input:
        if hasattr(value, "shape"):
            dtype_of(value.dtype)  # a call gives no complex tensors
            return Input(node.name, Role.USER, self._spec(value))
        constant = getattr(spec.arg, "value", None)
        if type(spec.arg).__name__ != "ConstantArgument" or not isinstance(
            constant, (bool, int, float, str, type(None))
        ):
            raise UnsupportedOpError("lower", "ggml", f"the input {node.name} is a number that differs between calls")
        return Input(node.name, Role.USER, None, constant)

    def _add_node(self, node: Any) -> None:
        name = op_name(node)
        value = node.meta.get("val")
        number = _symbolic(value)
        if number is not None and node.op == "call_function":
            try:
                self.values[node] = self._expression(number)
                self.stripped[name] += 1
                return
            except UnsupportedOpError:
                pass  # what the data decide: the node itself says so in the table
        if is_check(name):
            self.stripped[name] += 1
            return
        args, kwargs = self._arguments(node)
        if any(is_complex(one.meta.get("val")) for one in (node, *node.all_input_nodes)):
            name = name.replace("aten.", "pairs.", 1)
        self._append(node, name, args, kwargs)

    def _append(
        self, node: Any, name: str, args: tuple[Argument, ...], kwargs: tuple[tuple[str, Argument], ...] = ()
    ) -> None:
        """The operation whose result stands for ``node`` from here on."""
        value = node.meta.get("val")
        tensors = value if isinstance(value, (tuple, list)) else (value,)
        specs = tuple([self._spec(one) for one in tensors if hasattr(one, "shape")])
        self.values[node] = Ref(len(self.inputs) + len(self.nodes))
        self.nodes.append(Node(name, args, kwargs, specs, isinstance(value, (tuple, list))))

    def _arguments(self, node: Any) -> tuple[tuple[Argument, ...], tuple[tuple[str, Argument], ...]]:
        schema = getattr(node.target, "_schema", None)
        names = [one.name for one in schema.arguments] if schema else []
        args = [
            self._argument(value)
            for place, value in enumerate(node.args)
            if place >= len(names) or names[place] not in DROPPED
        ]
        kwargs = [(name, self._argument(value)) for name, value in node.kwargs.items() if name not in DROPPED]
        positional = [one.name for one in schema.arguments if not one.kwarg_only] if schema else []
        # Arguments that stand before a star may be given by name: rules take them by position.
        named = dict(kwargs)
        while len(args) < len(positional) and positional[len(args)] in named:
            args.append(named.pop(positional[len(args)]))
        return tuple(args), tuple(named.items())

    def _argument(self, value: Any) -> Argument:
        if hasattr(value, "all_input_nodes"):
            if value not in self.values:
                raise UnsupportedOpError("lower", "ggml", f"the result of {op_name(value)} is used as an argument")
            return self.values[value]
        if isinstance(value, (list, tuple)):
            return tuple([self._argument(item) for item in value])
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        number = _symbolic(value)
        if number is not None:
            return self._expression(number)
        if type(value).__name__ == "dtype":
            found: DType = float32 if value.is_complex else dtype_of(value)
            return found
        if type(value).__name__ in ("device", "layout", "memory_format"):
            return None
        raise UnsupportedOpError("lower", "ggml", f"an argument is a {type(value).__name__}")

    def _add_output(self, value: Any, spec: Any) -> None:
        kind = spec.kind.name
        if is_complex(getattr(value, "meta", {}).get("val")):
            dtype_of(value.meta["val"].dtype)  # no result and no state is complex
        if kind == "BUFFER_MUTATION":
            self.outputs.append(Output(spec.target, Role.STATE, self._argument(value)))
        elif kind == "USER_OUTPUT":
            self.outputs.append(Output(getattr(spec.arg, "name", ""), Role.USER, self._argument(value)))
        else:
            what = (
                "the model writes into its input" if kind == "USER_INPUT_MUTATION" else f"an output is a {kind.lower()}"
            )
            raise UnsupportedOpError("lower", "ggml", f"{what} {spec.target or ''}".strip())

    def _spec(self, value: Any) -> TensorSpec:
        if is_complex(value):
            return TensorSpec(float32, (*[self._extent(one) for one in value.shape], 2))
        return TensorSpec(dtype_of(value.dtype), tuple([self._extent(one) for one in value.shape]))

    def _extent(self, value: Any) -> Extent:
        if isinstance(value, int):
            return value
        try:
            found = self._expression(value.node.expr)
        except UnsupportedOpError:
            return 0  # what the data decide: the node that makes it is missing in any case
        assert isinstance(found, (int, Symbol, Apply))
        return found

    def _expression(self, found: Any) -> Expression:
        places: Mapping[str, int] = self.symbols
        return found if isinstance(found, (bool, int, float)) else expression(found, places)


def is_check(name: str) -> bool:
    """Whether an operation only raises an error, or nothing."""
    return any(name.partition(".")[2].startswith(check) for check in _CHECKS)


def op_name(node: Any) -> str:
    """``aten.linear.default`` of a node; what belongs to Python is ``operator.``."""
    target = node.target
    if hasattr(target, "_schema"):
        return _plain_name(str(getattr(target, "_op", target)) if type(target).__name__ == _EDGE else str(target))
    if node.op == "get_attr":
        return f"attribute.{target}"
    name = getattr(target, "__name__", str(target))
    return f"operator.{name}" if getattr(target, "__module__", "") in ("_operator", "operator") else f"torch.{name}"


def _plain_name(name: str) -> str:
    """ATen's name of what ExecuTorch calls otherwise: views that are copies, and copies in another order of memory."""
    if name in _EDGE_NAMES:
        return _EDGE_NAMES[name]
    plain = name.replace("_copy.", ".")
    return plain if name not in RULES and plain in RULES else name


def is_complex(value: Any) -> bool:
    """Whether a tensor of torch is complex: here it is pairs of floats."""
    return hasattr(value, "shape") and bool(value.dtype.is_complex)


def _symbolic(value: Any) -> Any:
    """SymPy's expression of a number that is known before any data; None for everything else."""
    if isinstance(value, (bool, int, float)):
        return value
    return value.node.expr if type(value).__name__ in ("SymInt", "SymFloat") else None


def _bounded(value: Any) -> int:
    """A bound of SymPy, which has several infinities."""
    return min(int(value), _LARGEST) if getattr(value, "is_Integer", False) else _LARGEST
