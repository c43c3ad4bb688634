"""PyTorch's switches for gradients: blocks and decorators that turn the recording of derivatives off and on.

Each thread, and each task of asyncio, has switches of its own.
"""

from __future__ import annotations

import functools
import inspect
from contextvars import ContextVar, Token
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

_enabled: ContextVar[bool] = ContextVar("grad_enabled", default=True)
_inferring: ContextVar[bool] = ContextVar("inference_mode", default=False)


def is_grad_enabled() -> bool:
    """Whether derivatives are recorded here."""
    return _enabled.get()


class _Switch:
    """A block, or a decorator with or without parentheses."""

    def __new__(cls, mode: Any = True) -> Any:
        switch = super().__new__(cls)
        if not callable(mode):
            return switch
        switch.__init__()  # type: ignore[misc]  # the decorator without parentheses was given the function
        return switch(mode)

    def __init__(self, mode: bool = True) -> None:
        if not isinstance(mode, (bool, int)):
            raise DTypeError(type(self).__name__, "a bool as mode", type(mode).__name__)
        self.mode = bool(mode)
        self._before: list[tuple[Token[bool], Token[bool] | None]] = []

    @property
    def _wanted(self) -> bool:
        return self.mode

    def __enter__(self) -> None:
        self._before.append((_enabled.set(self._wanted), None))

    def __exit__(self, *error: object) -> None:
        enabled, inferring = self._before.pop()
        _enabled.reset(enabled)
        if inferring is not None:
            _inferring.reset(inferring)

    def _again(self) -> Any:
        """A block of its own for one call, so that a function may call itself and run in several threads."""
        return type(self)(self.mode)

    def __call__(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function):
            return self._generator(function)

        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return switched

    def _generator(self, function: Any) -> Any:
        """The switch holds while the generator runs, and not in between, when its caller does."""

        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                items = function(*args, **kwargs)
            while True:
                with self._again():
                    try:
                        item = next(items)
                    except StopIteration as end:
                        return end.value
                yield item

        return switched


class no_grad(_Switch):
    """Within it nothing is recorded for derivatives; what is computed there does not require a gradient."""

    @property
    def _wanted(self) -> bool:
        return False


class enable_grad(_Switch):
    """Within it derivatives are recorded again, also inside of ``no_grad``."""

    @property
    def _wanted(self) -> bool:
        return True


class inference_mode(_Switch):
    """As ``no_grad``; ``inference_mode(False)`` changes nothing outside of another one."""

    def __enter__(self) -> None:
        enabled = not self.mode and (_enabled.get() or _inferring.get())
        self._before.append((_enabled.set(enabled), _inferring.set(self.mode)))


class set_grad_enabled(_Switch):
    """Derivatives are recorded, or not, from the call on; as a block, until its end."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(mode)
        self._outside = _enabled.get()
        _enabled.set(self.mode)

    def __enter__(self) -> None:
        self._before.append((_enabled.set(self.mode), None))

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        _enabled.set(self._outside)

    def __call__(self, function: Any) -> Any:
        _enabled.set(self._outside)  # a decorator has not switched anything by itself
        return super().__call__(function)


def is_inference_mode_enabled() -> bool:
    """Whether ``inference_mode`` holds here."""
    return _inferring.get()
