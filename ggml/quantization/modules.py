"""Quantising the weights of a module, or of a dictionary of tensors, in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np

import ggml.nn as nn
from ggml.core import dtypes, tracing
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError, ShapeMismatchError
from ggml.nn.parameter import Parameter, point_to
from ggml.quantization.blocks import Progress, dequantize, needs_imatrix, quantize, types
from ggml.quantization.imatrix import ImportanceMatrix
from ggml.quantization.report import Report, TensorReport
from ggml.tensors.tensor import Tensor

__all__ = ["quantize_"]

#: ``(module, name)`` or ``(tensor, key)`` to whether, or to which dtype.
Filter = Callable[[Any, str], "bool | DType | None"]

# What rows that are no multiple of 256 take instead: the type of about as many bits with blocks of 32. These are the
# choices that llama.cpp makes.
_SMALLER_BLOCKS = {
    **dict.fromkeys(("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs"), "iq4_nl"),
    **dict.fromkeys(("q2_0", "q2_k", "q3_k", "tq1_0", "tq2_0"), "q4_0"),
    "q4_k": "q5_0",
    "q5_k": "q5_1",
    "q6_k": "q8_0",
}


def quantize_(
    module: nn.Module | MutableMapping[str, Tensor],
    dtype: DType,
    filter_fn: Filter | None = None,
    imatrix: ImportanceMatrix | Mapping[str, Any] | None = None,
    *,
    num_threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Replace weights by their quantised form; what is tied stays tied. Either all of them or, after an error, none.

    By default these are the weights of two axes of ``Linear`` and ``Embedding`` (of a dictionary: those whose key
    ends with ``weight``). ``filter_fn(module, name)`` answers for each parameter of two axes or more, with the
    module that owns it and its full name, (of a dictionary: with tensor and key): True, False, or another dtype.
    Rows that do not fit the blocks take a type with smaller ones, or float16, and the report says so.
    ``imatrix`` weighs columns by the parameter's full name. ``progress`` hears (tensors done, tensors in all).
    ArgumentError where nothing is chosen, or where the ``imatrix`` has nothing for what is chosen.
    """
    if dtype not in types():
        raise DTypeError("quantize_", f"one of {', '.join(known.name for known in types())} as dtype", dtype)
    tracing.refuse("quantize_")
    wanted = list(_chosen(module, dtype, filter_fn))
    _check_choice(module, wanted, filter_fn, imatrix)
    rows, made = [], []
    for number, (name, tensor, kind) in enumerate(wanted):
        row, result = _quantized(name, tensor, kind, _importance(imatrix, name), num_threads)
        rows.append(row)
        made.append(result)
        if progress is not None:
            progress(number + 1, len(wanted))
    for (name, tensor, _), result in zip(wanted, made, strict=True):
        if result is not None:
            _replace(module, name, tensor, result)
    return Report(tuple(rows))


def _chosen(module: Any, dtype: DType, filter_fn: Filter | None) -> Iterator[tuple[str, Tensor, DType]]:
    ask = filter_fn or (_is_default_weight if isinstance(module, nn.Module) else _is_default_entry)
    seen = set()
    for owner, name, tensor in _candidates(module):
        if id(tensor) in seen or tensor.ndim < 2 or not tensor.dtype.is_floating_point:
            continue
        answer = ask(owner, name)
        if isinstance(answer, DType) and answer not in types():
            raise DTypeError("quantize_", f"a type that {name} can be quantised to", answer)
        if answer:
            seen.add(id(tensor))
            yield name, tensor, answer if isinstance(answer, DType) else dtype


def _check_choice(module: Any, wanted: list[Any], filter_fn: Filter | None, imatrix: Any) -> None:
    """A choice of nothing is a mistake, unless what could be chosen is quantised already."""
    names = [name for name, _, _ in wanted]
    if not names and not any(tensor.is_quantized for _, _, tensor in _candidates(module)):
        what = "chose none of the weights" if filter_fn else "is needed: there are no weights of Linear or Embedding"
        raise ArgumentError("quantize_", "filter_fn", what)
    if imatrix and names and not any(name in imatrix for name in names):
        given = next(iter(imatrix))
        raise ArgumentError("quantize_", "imatrix", f"has nothing for {names[0]!r} or others; it has {given!r}")


def _candidates(module: Any) -> Iterator[tuple[Any, str, Tensor]]:
    if isinstance(module, nn.Module):
        for path, owner in module.named_modules():
            for name, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
                yield owner, f"{path}.{name}" if path else name, parameter
    elif isinstance(module, MutableMapping):
        for key, value in module.items():
            if isinstance(value, Tensor):
                yield value, str(key), value
    else:
        raise DTypeError("quantize_", "a module or a dictionary of tensors", type(module).__name__)


def _is_default_weight(owner: nn.Module, name: str) -> bool:
    return isinstance(owner, (nn.Linear, nn.Embedding)) and name.rpartition(".")[2] == "weight"


def _is_default_entry(tensor: Tensor, key: str) -> bool:
    return tensor.ndim == 2 and key.endswith("weight")


def _importance(imatrix: ImportanceMatrix | Mapping[str, Any] | None, name: str) -> Any:
    return None if imatrix is None or name not in imatrix else imatrix[name]


def _quantized(
    name: str, tensor: Tensor, dtype: DType, importance: Any, num_threads: int | None
) -> tuple[TensorReport, Tensor | None]:
    """The report's row, and the new value or None."""
    kind, note = _fitting(tensor, dtype)
    if kind is tensor.dtype:
        return _row(name, tensor, tensor, note or "is of this type"), None
    if importance is None and needs_imatrix(kind):
        raise ArgumentError("quantize_", "imatrix", f"has nothing for {name!r}, and {kind} needs it")
    try:
        result = quantize(tensor, kind, importance, num_threads=num_threads)
    except (ArgumentError, ShapeMismatchError, DTypeError) as error:
        raise ArgumentError("quantize_", repr(name), f"cannot be quantised: {error}") from error
    return _row(name, tensor, result, note), result


def _fitting(tensor: Tensor, dtype: DType) -> tuple[DType, str]:
    width = tensor.shape[-1]
    if width % dtype.block == 0:
        return dtype, ""
    smaller = dtypes.ALL.get(_SMALLER_BLOCKS.get(dtype.name, dtype.name), dtype)
    kind = smaller if width % smaller.block == 0 else dtypes.float16
    kind = tensor.dtype if kind is dtypes.float16 and tensor.dtype is dtypes.bfloat16 else kind
    return kind, f"rows of {width} do not fit {dtype.name}"


def _row(name: str, before: Tensor, after: Tensor, note: str) -> TensorReport:
    rmse = max_error = None
    if after is not before and before.numel():
        gap = np.abs(dequantize(after).cpu().numpy() - before.float().cpu().numpy())
        rmse, max_error = float(np.sqrt(np.mean(np.square(gap), dtype=np.float64))), float(gap.max())
    shape = tuple(before.shape)
    return TensorReport(name, shape, before.dtype, after.dtype, before.nbytes, after.nbytes, rmse, max_error, note)


def _replace(module: Any, name: str, tensor: Tensor, result: Tensor) -> None:
    if not isinstance(module, nn.Module):
        for key in [key for key, value in module.items() if value is tensor]:
            module[key] = result
        return
    if isinstance(tensor, Parameter):
        tensor.requires_grad_(False)
    point_to(tensor, result)
