"""A row's counterpart in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ggml.table import Op


def torch_function(row: Op) -> Callable[..., Any]:
    """The function (or unbound method) that ``row.torch`` names."""
    found: Any = torch
    for name in row.torch.split("."):
        found = getattr(found, name)
    return found  # type: ignore[no-any-return]


def torch_result(row: Op, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What PyTorch returns, or the exception it raises. What changes its first argument is given a copy of it."""
    try:
        if row.torch.endswith("_") and args and isinstance(args[0], torch.Tensor):
            args = [args[0].clone(memory_format=torch.contiguous_format), *args[1:]]
        result = torch_function(row)(*args, **kwargs)
        return args[0] if row.torch == "Tensor.__setitem__" else result
    except Exception as error:  # of every kind: it is the outcome
        return error
