"""How long native graphs take, for whoever asks within a block: whole, and node by node."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ggml.graph.observers import Runnable, list_nodes

Result = TypeVar("Result")

#: What the native graph calls with a node's index and its bytes, and for which nodes.
Watch = tuple[Callable[[int, bytes], object] | None, list[int]]


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. ``kind`` is "graph", "build", "node" or "user"; times are of ``perf_counter_ns``."""

    name: str
    kind: str
    start_ns: int
    duration_ns: int
    thread: int
    facts: dict[str, Any] = field(default_factory=dict)


class Timer:
    """Collects spans. ``with_nodes`` makes each node of a graph one, which makes graphs slower."""

    def __init__(self, with_nodes: bool) -> None:
        self.with_nodes = with_nodes
        self.spans: list[Span] = []

    def add(self, name: str, kind: str, start_ns: int, end_ns: int, **facts: Any) -> None:
        self.spans.append(Span(name, kind, start_ns, end_ns - start_ns, threading.get_ident(), facts))

    @contextmanager
    def span(self, name: str, kind: str, **facts: Any) -> Iterator[None]:
        """What happens in the block, also where it fails."""
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            self.add(name, kind, start, time.perf_counter_ns(), **facts)

    def watch(self, program: Runnable) -> Watch:
        """What sees the nodes of one run, which begins now."""
        if not self.with_nodes:
            return None, []
        nodes = list_nodes(program)
        begun = time.perf_counter_ns()

        def see(index: int, raw: bytes) -> None:
            nonlocal begun
            node, now = nodes[index], time.perf_counter_ns()
            facts = {"op": node.op, "shape": node.shape, "dtype": node.dtype.name, "device": node.device}
            self.add(node.name.rpartition(".")[0], "node", begun, now, **facts)
            begun = time.perf_counter_ns()  # what this function takes is nobody's

        return see, [node.index for node in nodes if not node.is_view]


def title(step_ops: list[str]) -> str:
    """What a graph is called: its three commonest operations, and how many there are."""
    counts = Counter(one for one in step_ops if one)
    names = ", ".join(name for name, _ in counts.most_common(3))
    return f"{names}{', ...' if len(counts) > 3 else ''} ({sum(counts.values())} steps)"


_active: ContextVar[Timer | None] = ContextVar("timer", default=None)


def active() -> Timer | None:
    """The timer of the block that this thread or task is in."""
    return _active.get()


@contextmanager
def timed_by(timer: Timer) -> Iterator[None]:
    """A block whose graphs the timer collects."""
    token = _active.set(timer)
    try:
        yield
    finally:
        _active.reset(token)
