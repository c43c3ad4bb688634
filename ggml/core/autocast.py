"""PyTorch's switch for mixed precision: within it products are computed in 16 bits, and what needs range in 32.

Each thread, and each task of asyncio, has a switch of its own. Which operations it changes is in
``ggml.registry.autocasting``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

from ggml.core import dtypes
from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, DTypeError

__all__ = ["autocast", "get_autocast_dtype", "is_autocast_enabled", "state", "within"]

#: The dtype of products on each type of device that mixed precision is on for, in the order of their names.
State = tuple[tuple[str, DType], ...]

_state: ContextVar[State] = ContextVar("autocast", default=())


def state() -> State:
    """What holds here; empty outside of every block."""
    return _state.get()


@contextmanager
def within(wanted: State) -> Iterator[None]:
    """A block in which another state holds: that of another time, or none."""
    token = _state.set(wanted)
    try:
        yield
    finally:
        _state.reset(token)


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether mixed precision is on here for devices of this type."""
    return _checked("is_autocast_enabled", device_type) in dict(_state.get())


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """The dtype of products on devices of this type: that of the block, or what a block has by default."""
    return dict(_state.get()).get(_checked("get_autocast_dtype", device_type)) or _default(device_type)


def _checked(op: str, device_type: str) -> str:
    if not isinstance(device_type, str):
        raise DTypeError(op, "a string as device_type", type(device_type).__name__)
    if not device_type or ":" in device_type:
        raise ArgumentError(op, "device_type", f"is a type without a number, such as cpu: {device_type!r}")
    return device_type


def _default(device_type: str) -> DType:
    return dtypes.bfloat16 if device_type == "cpu" else dtypes.float16


class autocast:
    """A block, or a decorator: products of tensors on devices of this type take and give ``dtype``.

    Weights stay as they are, float32, and so do their gradients; a product reads a copy of them in 16 bits. Losses,
    norms, sums and exponentials of 16-bit tensors are computed in float32 and give it, as PyTorch's list for CUDA has
    it. ``dtype`` is float16 or bfloat16: by default bfloat16 on the CPU, float16 elsewhere. ``enabled=False`` switches
    it off within another block. Call ``backward`` outside of the block. ``cache_enabled`` has no effect.
    """

    def __init__(
        self, device_type: str, dtype: DType | None = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        _checked("autocast", device_type)
        if not isinstance(enabled, bool):
            raise DTypeError("autocast", "a bool as enabled", type(enabled).__name__)
        wanted = _default(device_type) if dtype is None else dtype
        if wanted not in (dtypes.float16, dtypes.bfloat16):
            raise DTypeError("autocast", "float16 or bfloat16", wanted)
        self.device_type, self.dtype, self.enabled = device_type, wanted, enabled
        self._before: list[Token[State]] = []

    def __enter__(self) -> autocast:
        others = {kind: dtype for kind, dtype in _state.get() if kind != self.device_type}
        if self.enabled:
            others[self.device_type] = self.dtype
        self._before.append(_state.set(tuple(sorted(others.items(), key=lambda one: one[0]))))
        return self

    def __exit__(self, *error: object) -> None:
        _state.reset(self._before.pop())

    def __call__(self, function: Any) -> Any:
        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            # A block of its own for one call, so that the function may run in several threads.
            with autocast(self.device_type, self.dtype, self.enabled):
                return function(*args, **kwargs)

        return switched
