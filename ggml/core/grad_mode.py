"""PyTorch's switches for gradients, which nothing here computes: they are accepted and change nothing."""

from __future__ import annotations

from typing import Any

from ggml.core.errors import DTypeError

__all__ = [
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
]


class _Switch:
    """A block, or a decorator with or without parentheses."""

    def __new__(cls, mode: Any = True) -> Any:
        return mode if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        if not isinstance(mode, (bool, int)):
            raise DTypeError(type(self).__name__, "a bool as mode", type(mode).__name__)
        self.mode = bool(mode)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None

    def __call__(self, function: Any) -> Any:
        return function


class no_grad(_Switch):
    """A block or function without gradients, as all are."""


class enable_grad(_Switch):
    """Accepted: there are no gradients to enable."""


class inference_mode(_Switch):
    """As ``no_grad``."""


class set_grad_enabled(_Switch):
    """Accepted: there are no gradients to enable."""


def is_grad_enabled() -> bool:
    """Never: nothing is differentiated."""
    return False


def is_inference_mode_enabled() -> bool:
    """Always: nothing is differentiated."""
    return True
