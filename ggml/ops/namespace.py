"""The names of ``ggml`` and ``ggml.nn.functional``: read from the table, and from the dtypes.

Who reads the whole table takes ``TABLE`` from here, where every row has been entered.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import ggml.ops as ops
from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.op import Op
from ggml.ops import written_over
from ggml.ops.calls import as_function, as_functional
from ggml.ops.signal import complexes
from ggml.ops.signal.complexes import either
from ggml.registry.spelling import as_method
from ggml.registry.table import TABLE as TABLE
from ggml.registry.table import in_place

# Importing a file of rows fills the table with them.
for _file in pkgutil.walk_packages(ops.__path__, f"{ops.__name__}."):
    import_module(_file.name)

_FUNCTIONAL = "nn.functional."

# PyTorch keeps these in both places.
_ALSO_FUNCTIONAL = (
    "relu",
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
    "cosine_similarity",
    "pairwise_distance",
)

# Second names that PyTorch has.
ALIASES = {
    "absolute": "abs",
    "negative": "neg",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "true_divide": "div",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "multiply": "mul",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "moveaxis": "movedim",
    "ger": "outer",
    "sgn": "sign",
    "row_stack": "vstack",
    "trapz": "trapezoid",
    "inverse": "inv",
    "pinverse": "pinv",
    "orgqr": "householder_product",
}


# PyTorch keeps these in ``torch``, too: the functions of ``torch.linalg`` and ``torch.nn.functional``.
_ALSO_TOP = (
    "det", "slogdet", "matrix_exp",
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "layer_norm", "group_norm", "rms_norm", "bilinear", "pdist", "prelu", "selu", "celu", "threshold", "hardshrink",
    "rrelu", "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "adaptive_avg_pool1d", "masked_fill",
)  # fmt: skip

# Functions that copy in PyTorch what others only look at. Here no tensor ever changes.
_COPIES = (
    "as_strided", "diagonal", "expand", "permute", "select", "split", "split_with_sizes", "squeeze", "t", "transpose",
    "unbind", "unsqueeze", "narrow", "view",
)  # fmt: skip

# These take one tensor, and are in place only as methods.
_ONLY_METHODS = ("logical_not", "sgn", "digamma", "bitwise_not", "absolute", "erfinv", "lgamma", "t", "sign")

_DROPOUTS = ("dropout", "alpha_dropout", "feature_alpha_dropout")

# The other functions that PyTorch has in place beside methods: most take one tensor.
_IN_PLACE = (
    "clamp", "clamp_max", "clamp_min", "clip", "gcd", "lcm", "ldexp", "xlogy", "addmv", "logit", "nan_to_num", "round",
    "index_put", "as_strided",
)  # fmt: skip

# Functions of ``torch.nn.functional`` that it has in place, too.
_FUNCTIONAL_IN_PLACE = ("relu", "celu", "elu", "hardtanh", "leaky_relu", "rrelu", "selu", "threshold")


def _at_home(found: dict[str, Callable[..., Any]], module: str) -> dict[str, Callable[..., Any]]:
    """The functions. What a factory made, or what was wrapped, says where pickle finds it again."""
    for name, function in found.items():
        if _found(function.__module__, function.__qualname__) is not function:
            function.__module__, function.__qualname__ = module, name
    return found


def _found(module: str, qualified_name: str) -> Any:
    place: Any = sys.modules.get(module)
    for name in qualified_name.split("."):
        place = None if place is None else vars(place).get(name)  # getattr would have ggml load its names
    return place


def _is_top(row: Op) -> bool:
    return "." not in row.torch and row.sample != "internal"


def _called(functions: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {name: as_function(function) for name, function in functions.items()}


def functions() -> dict[str, Callable[..., Any]]:
    """What ``ggml`` offers of the table."""
    rows = {row.torch: row.function for row in TABLE.values() if _is_top(row)}
    rows |= {name: TABLE[name].function for name in _ALSO_TOP}
    rows |= {f"{name}_copy": TABLE[name].function for name in _COPIES}
    rows |= {"unfold_copy": TABLE["window"].function, "alias_copy": TABLE["clone"].function}
    rows |= {f"unsafe_{name}": TABLE[name].function for name in ("chunk", "split", "split_with_sizes")}
    rows |= {alias: TABLE[name].function for alias, name in ALIASES.items()}
    rows |= {name: either(rows[name], way) for name, way in complexes.WAYS.items()}
    return _at_home(_called(rows) | _in_place(rows), "ggml")


def _takes_one(function: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    return len(parameters) == 1 and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL


def _in_place(rows: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The functions that write over their first argument: the in-place methods under their own names."""
    from ggml.tensors.tensor import Tensor

    one = {name for name, function in rows.items() if _takes_one(function)}
    names = [*_IN_PLACE, *sorted(one - set(_ONLY_METHODS))]
    twins = {f"{name}_": getattr(Tensor, f"{name}_", None) for name in names}
    twins |= {f"{name}_": TABLE[f"{name}_"].function for name in ("fill", "zero")}
    others = ("threshold", "celu", "rrelu", "selu", *_DROPOUTS)
    twins |= {f"{name}_": in_place(as_method(rows[name]), name) for name in others}
    return {name: twin for name, twin in twins.items() if twin is not None}


def functional() -> dict[str, Callable[..., Any]]:
    """What ``ggml.nn.functional`` offers of it."""
    rows = {row.name: row.function for row in TABLE.values() if row.torch == _FUNCTIONAL + row.name}
    rows |= {name: TABLE[name].function for name in _ALSO_FUNCTIONAL}
    rows |= {f"{name}_": in_place(as_method(rows[name]), name) for name in _FUNCTIONAL_IN_PLACE}
    rows |= {name: written_over.with_inplace(rows[name]) for name in written_over.NAMES}
    return _at_home({name: as_functional(function) for name, function in rows.items()}, "ggml.nn.functional")


def linalg() -> dict[str, Callable[..., Any]]:
    """What ``ggml.linalg`` offers of it."""
    rows = {
        row.torch.removeprefix("linalg."): row.function for row in TABLE.values() if row.torch.startswith("linalg.")
    }
    return _at_home(_called(rows | {name: TABLE[name].function for name in ("matmul", "matrix_power")}), "ggml.linalg")


def fourier() -> dict[str, Callable[..., Any]]:
    """What ``ggml.fft`` offers of it."""
    rows = {row.torch[4:]: row.function for row in TABLE.values() if row.torch.startswith("fft.")}
    return _at_home(_called(rows), "ggml.fft")


def signal_windows() -> dict[str, Callable[..., Any]]:
    """What ``ggml.signal.windows`` offers of it."""
    place = "signal.windows."
    rows = {row.torch.removeprefix(place): row.function for row in TABLE.values() if row.torch.startswith(place)}
    return _at_home(_called(rows), "ggml.signal.windows")


# Names of ``torch.special`` for rows of other places.
_ALSO_SPECIAL = {
    "digamma": "digamma",
    "erf": "erf",
    "erfc": "erfc",
    "erfinv": "erfinv",
    "exp2": "exp2",
    "expit": "sigmoid",
    "expm1": "expm1",
    "gammainc": "igamma",
    "gammaincc": "igammac",
    "gammaln": "lgamma",
    "i0": "i0",
    "log1p": "log1p",
    "log_softmax": "log_softmax",
    "logit": "logit",
    "logsumexp": "logsumexp",
    "modified_bessel_i0": "i0",
    "modified_bessel_i1": "i1",
    "multigammaln": "mvlgamma",
    "polygamma": "polygamma",
    "psi": "digamma",
    "round": "round",
    "sinc": "sinc",
    "softmax": "softmax",
    "xlogy": "xlogy",
}


def special() -> dict[str, Callable[..., Any]]:
    """What ``ggml.special`` offers of it."""
    rows = {row.torch[8:]: row.function for row in TABLE.values() if row.torch.startswith("special.")}
    return _at_home(_called(rows | {name: TABLE[row].function for name, row in _ALSO_SPECIAL.items()}), "ggml.special")


def dtype_names() -> dict[str, DType]:
    """Every dtype under its names."""
    short = {"float": dtypes.float32, "half": dtypes.float16, "int": dtypes.int32, "long": dtypes.int64}
    return {**dtypes.ALL, **short}


def _add_alias_methods() -> None:
    from ggml.tensors.tensor import Tensor

    setattr(Tensor, "narrow_copy", TABLE["narrow"].function)  # noqa: B010
    for name in ("chunk", "split", "split_with_sizes"):
        setattr(Tensor, f"unsafe_{name}", TABLE[name].function)

    for alias, name in ALIASES.items():
        row = TABLE[name]
        if row.methods and not hasattr(Tensor, alias):
            setattr(Tensor, alias, getattr(Tensor, row.methods[0]))
        twin = getattr(Tensor, f"{row.methods[0]}_", None) if row.methods else None
        if twin is not None and not hasattr(Tensor, f"{alias}_"):
            setattr(Tensor, f"{alias}_", twin)


_add_alias_methods()
