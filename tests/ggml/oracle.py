"""A row's counterpart in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ggml.core.op import Op


def torch_function(row: Op) -> Callable[..., Any]:
    """The function (or unbound method) that ``row.torch`` names."""
    found: Any = torch
    for name in NAMES.get(row.torch, row.torch).split("."):
        found = getattr(found, name)
    return found  # type: ignore[no-any-return]


# Rows whose first argument is complex in PyTorch, and pairs in ours.
COMPLEX = {"fft_complex", "fft_half", "fft_several", "fft_several_half", "istft", "complex_only", "complex_product"}

# Rows that PyTorch calls otherwise.
NAMES = {"complex_mul": "mul"}


def _complex(pairs: Any) -> Any:
    return torch.view_as_complex(pairs.float().contiguous())


def _as_pairs(result: Any) -> Any:
    if isinstance(result, tuple) and any(isinstance(one, torch.Tensor) and one.is_complex() for one in result):
        return tuple(map(_as_pairs, result))
    is_complex = isinstance(result, torch.Tensor) and result.is_complex()
    return torch.view_as_real(result.resolve_conj()) if is_complex else result


def torch_result(row: Op, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What PyTorch returns, or the exception it raises. What changes its first argument is given a copy of it."""
    if row.name == "max_pool1d" and "1099511627776" in repr((args[1:], kwargs)):
        return ValueError("PyTorch walks over a window of this size for years")
    try:
        if row.torch.endswith("_") and args and isinstance(args[0], torch.Tensor):
            args = [args[0].clone(memory_format=torch.contiguous_format), *args[1:]]
        if row.sample in COMPLEX and args and isinstance(args[0], torch.Tensor):
            args = [_complex(args[0]), *(map(_complex, args[1:]) if row.sample == "complex_product" else args[1:])]
        function = torch_function(row)
        try:
            result = function(*args, **kwargs)
        except RuntimeError as error:
            if "Use .reshape(...) instead" not in str(error):
                raise
            # PyTorch trips over the layout in a function that looks at shapes only (kron, matrix_exp).
            args = [one.contiguous() if isinstance(one, torch.Tensor) else one for one in args]
            result = function(*args, **kwargs)
        return args[0] if row.torch == "Tensor.__setitem__" else _as_pairs(result)
    except Exception as error:  # of every kind: it is the outcome
        return error
