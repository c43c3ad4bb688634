"""The one table of operations: what each is called, takes, becomes, and where it differs from PyTorch.

A row is a function with ``@op(...)`` above it. The function checks its arguments and names the result's shape
and dtype by calling ``make``; ``lower`` turns that node into steps. A function without ``lower`` is composed of
other rows. Validation, the ``Tensor`` methods, the stubs, the documentation and the tests all read this table.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, TypeVar, cast

from ggml.core.dtypes import FLOATING, DType
from ggml.core.errors import DeviceMismatchError, DTypeError, RankError
from ggml.core.grad_mode import no_grad
from ggml.core.node import MAX_RANK, Node, Shape, empty_leaf
from ggml.core.op import Op, Runs
from ggml.graph.builder import Lower
from ggml.registry.autocasting import autocasting
from ggml.registry.spelling import as_method
from ggml.tensors import history, sharing
from ggml.tensors.pairs import Pairs, refuse
from ggml.tensors.tensor import Tensor, filled, wrap

Function = TypeVar("Function", bound=Callable[..., Any])

TABLE: dict[str, Op] = {}


def op(
    *,
    runs: Runs,
    sample: str,
    lower: Lower | None = None,
    dtypes: tuple[DType, ...] = FLOATING,
    torch: str | None = None,
    methods: Sequence[str] | None = None,
    inplace: bool | Literal["reshapes"] = False,
    differs: str = "",
    widens: bool = True,
    on_empty: float | None = None,
    name: str | None = None,
) -> Callable[[Function], Function]:
    """Enter a function into the table, and make it a method of Tensor (by default under its own name)."""

    def enter(function: Function) -> Function:
        row_name = name or function.__name__
        if runs == "host" and sample not in _MAKING:
            function = recorded(row_name, function)
        function = autocasting(row_name, function)
        assert row_name not in TABLE, row_name
        names = tuple((row_name,) if methods is None else methods)
        TABLE[row_name] = Op(row_name, len(TABLE), function, lower, runs, dtypes, sample, torch or row_name, names,
                             differs, widens, on_empty)  # fmt: skip
        spelled = as_method(function)
        for method in names:
            setattr(Tensor, method, spelled)
            if inplace:
                setattr(Tensor, f"{method}_", in_place(spelled, method, reshapes=inplace == "reshapes"))
        return function

    return enter


#: Samples of the rows on the host that make tensors of arguments, or integers: nothing is differentiated there.
_MAKING = {"new_size", "new_full", "new_tensor", "multinomial", "nonzero", "unique", "unique_consecutive", "histc"}


def recorded(name: str, function: Function) -> Function:
    """A function of the host that enters the tape as one operation, its parameters the arguments that are no tensor,
    by name."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = [*args, *kwargs.values()]
        tensors = [one for one in given if isinstance(one, Tensor)]
        if not history.is_needed(tensors):
            return function(*args, **kwargs)
        with no_grad():
            result = function(*args, **kwargs)
        several = result if isinstance(result, tuple) else (result,)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        rest = {name: one for name, one in bound.arguments.items() if not isinstance(one, Tensor)}
        history.record(name, tensors, rest, [one for one in several if isinstance(one, Tensor)])
        return result

    return cast(Function, call)


def in_place(function: Callable[..., Tensor], name: str, reshapes: bool = False) -> Callable[..., Tensor]:
    """The variant that gives ``self`` the result: other tensors keep the values they had. Only where it ``reshapes``
    may the result have another shape."""

    @functools.wraps(function)
    def assign(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(self, Tensor):
            raise DTypeError(f"{name}_", "a tensor as input", type(self).__name__)
        # What the operation itself saves of this handle is the value before the change.
        before = self if type(self) is Pairs else self._alias()
        return self._assign(function(before, *args, **kwargs), f"{name}_", reshapes)

    assign.__name__ = f"{name}_"
    return assign


def make(name: str, inputs: tuple[Tensor, ...], params: tuple[Hashable, ...], shape: Shape, dtype: DType) -> Tensor:
    """The tensor that row ``name`` makes of checked inputs. Nothing is computed."""
    row = TABLE[name]
    nodes = tuple([tensor._node for tensor in inputs])
    if Pairs in map(type, inputs):
        refuse(name)
    device = nodes[0].device
    if len(nodes) > 1:
        for node in nodes:
            if node.device is not device and node.device != device:
                raise DeviceMismatchError(name, tuple(str(other.device) for other in nodes))
    if len(shape) > MAX_RANK:
        raise RankError(name, len(shape), MAX_RANK)
    if 0 in shape:
        result = wrap(empty_leaf(shape, dtype, device))
    elif row.on_empty is not None and any(0 in node.shape for node in nodes):
        result = filled(shape, row.on_empty, dtype, device)
    else:
        node = Node(row, nodes, params, shape, dtype, device)
        if node.sharing:
            sharing.settle(node)
        result = wrap(node)
    for tensor in inputs:
        if tensor._history is not None and dtype.is_floating_point and history.is_needed(inputs):
            history.record(name, inputs, params, (result,))
            break
    return result
