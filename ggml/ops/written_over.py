"""Activations with PyTorch's ``inplace`` argument: the tensor that comes in takes the result, too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

#: What ``nn.functional`` offers with ``inplace``, beside rows that have it themselves.
NAMES = (
    "relu", "relu6", "elu", "selu", "celu", "silu", "mish", "hardtanh", "hardswish", "hardsigmoid", "leaky_relu",
)  # fmt: skip


def with_inplace(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with one more argument at the end."""

    @functools.wraps(function)
    def either(input: Any, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        if len(args) == count:
            inplace, args = args[-1], args[:-1]
        result = function(input, *args, **kwargs)
        return input._assign(result, function.__name__) if inplace else result

    signature = inspect.signature(function)
    count = len(signature.parameters)
    extra = inspect.Parameter("inplace", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False, annotation="bool")
    either.__signature__ = signature.replace(parameters=[*signature.parameters.values(), extra])  # type: ignore[attr-defined]
    return either
