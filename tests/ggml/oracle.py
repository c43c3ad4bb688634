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
    """What PyTorch returns, or the exception it raises."""
    try:
        return torch_function(row)(*args, **kwargs)
    except Exception as error:  # of every kind: it is the outcome
        return error
