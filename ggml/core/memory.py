"""Memory that is freed at the end of a block, whatever still points at it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from worker_native import Buffer

_active: ContextVar[Arena | None] = ContextVar("arena", default=None)


class Computed(Protocol):
    """What has memory, or gets it when it is asked: a tensor."""

    def buffer(self) -> Buffer: ...


Kept = TypeVar("Kept", bound=Computed)


class Arena:
    """Frees the memory of every tensor that was made in its block (by this thread or task) when the block ends.

    A tensor that outlives it raises ClosedTensorError when it is used. Memory that numpy or another library looks
    at is freed with the last such look. Blocks nest: a tensor belongs to the innermost.
    """

    def __init__(self) -> None:
        self._buffers: weakref.WeakSet[Buffer] = weakref.WeakSet()
        self.is_closed = False

    def __reduce__(self) -> Any:
        raise TypeError("an arena cannot be pickled or copied: it frees the memory of this process")

    @property
    def num_bytes(self) -> int:
        """The memory that belongs to it now."""
        return sum(buffer.num_bytes for buffer in self._buffers)

    def keep(self, tensor: Kept) -> Kept:
        """Compute the tensor, and let it live on after the block."""
        self._buffers.discard(tensor.buffer())
        return tensor

    def add(self, buffer: Buffer) -> None:
        self._buffers.add(buffer)

    def close(self) -> None:
        """Free everything now. The end of the block does it; a second call does nothing."""
        self.is_closed = True
        for buffer in list(self._buffers):
            buffer.close()
        self._buffers.clear()


@contextmanager
def arena() -> Iterator[Arena]:
    """``with ggml.arena() as a:`` the tensors made in the block lose their memory at its end."""
    here = Arena()
    token = _active.set(here)
    try:
        yield here
    finally:
        _active.reset(token)
        here.close()


@contextmanager
def outside() -> Iterator[None]:
    """What is made in the block belongs to no arena."""
    token = _active.set(None)
    try:
        yield
    finally:
        _active.reset(token)


def own(buffer: Buffer) -> Buffer:
    """The buffer, which belongs to the arena of the block from now on, if there is one."""
    here = _active.get()
    if here is not None:
        here.add(buffer)
    return buffer


def own_all(buffers: list[Buffer]) -> list[Buffer]:
    """``own`` for each."""
    here = _active.get()
    if here is not None:
        for buffer in buffers:
            here.add(buffer)
    return buffers
