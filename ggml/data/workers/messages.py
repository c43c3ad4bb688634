"""What a loader and its workers tell each other, over one pipe for each worker. All of it is pickled.

A tensor is pickled as its bytes and becomes a tensor again on the other side: no memory of ggml is shared.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ggml.core.errors import GgmlError


@dataclass(frozen=True, slots=True)
class Setup:
    """The first message to a worker. ``worker_id`` counts from 0."""

    worker_id: int
    num_workers: int
    dataset: Any
    collate_fn: Callable[[Any], Any]
    worker_init_fn: Callable[[int], Any] | None
    is_batched: bool
    drop_last: bool


@dataclass(frozen=True, slots=True)
class Epoch:
    """A new epoch begins, and streams begin anew. ``base_seed`` is drawn by the loader."""

    base_seed: int


@dataclass(frozen=True, slots=True)
class Task:
    """Fetch these indices as the batch of this number, which counts from 0 in each epoch."""

    number: int
    indices: Any


@dataclass(frozen=True, slots=True)
class Ended:
    """The worker's answer to a task when its stream has ended."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker's answer when something was raised: the class, where it can be found, with text and fields."""

    kind: type[BaseException] | None
    text: str
    fields: dict[str, Any]

    def error(self) -> BaseException:
        """The error to raise: of the same class where that takes a text, a RuntimeError otherwise."""
        if self.kind is not None and issubclass(self.kind, GgmlError) and not issubclass(self.kind, OSError):
            own: BaseException = self.kind.__new__(self.kind, self.text)
            own.args = (self.text,)
            vars(own).update(self.fields)
            return own
        try:
            if self.kind is None:
                return RuntimeError(self.text)
            return self.kind(_Lines(self.text) if issubclass(self.kind, KeyError) else self.text)
        except Exception:  # a class that takes something else
            return RuntimeError(self.text)


class _Lines(str):
    """A text that a KeyError shows as it is: it shows the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def failed(error: BaseException, worker_id: int) -> Failed:
    """What tells the loader of an error, with the traceback of this process."""
    text = f"Caught {type(error).__name__} in DataLoader worker process {worker_id}.\nOriginal {_trace(error)}"
    fields = error.__reduce__()[2] if isinstance(error, GgmlError) else {}
    try:
        pickle.dumps(type(error))
        return Failed(type(error), text, dict(fields))
    except Exception:  # a class that is defined within a function
        return Failed(None, text, {})


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
