"""A block whose graphs are timed, and a trace of it that Chrome and Perfetto show."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from ggml.core.errors import ArgumentError
from ggml.graph import timing
from ggml.profiler.averages import Averages


class profile:
    """``with ggml.profiler.profile() as prof:`` times every native graph that this thread or task runs or builds.

    With ``with_nodes`` each node of a graph is timed, too: they run one after the other then, and Python is called
    after each, which makes everything slower; a node's time includes that of reading its result. Lazy operations cost
    nothing where they are written, but where something asks for their values.
    """

    def __init__(self, with_nodes: bool = False) -> None:
        self._timer = timing.Timer(bool(with_nodes))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._timer.spans:
            raise ArgumentError("profile", "the block", "was entered before: make a new one")
        self._stack.enter_context(timing.timed_by(self._timer))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def events(self) -> list[timing.Span]:
        """Everything that was timed, in the order in which it ended."""
        return list(self._timer.spans)

    def key_averages(self) -> Averages:
        """Sums by name."""
        return Averages(self._timer.spans)

    def export_chrome_trace(self, path: Any) -> None:
        """Write the trace as JSON, for ``chrome://tracing`` or ui.perfetto.dev. Times there are in microseconds."""
        first = min((one.start_ns for one in self._timer.spans), default=0)
        events = [
            {
                "name": one.name,
                "cat": one.kind,
                "ph": "X",
                "ts": (one.start_ns - first) / 1e3,
                "dur": one.duration_ns / 1e3,
                "pid": os.getpid(),
                "tid": one.thread,
                "args": one.facts,
            }
            for one in self._timer.spans
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


class record_function:
    """A block with a name in the trace: ``with record_function("forward"):``. Outside of a profile it does nothing."""

    def __init__(self, name: str) -> None:
        self.name = str(name)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        timer = timing.active()
        if timer is not None:
            self._stack.enter_context(timer.span(self.name, "user"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
