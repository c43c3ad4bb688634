"""One graph on two devices, or with two numbers of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.backend.capture import capture
from ggml.backend.scheduler import Scheduler
from ggml.core.devices import Device, device, devices
from ggml.core.errors import ArgumentError
from ggml.debug.report import Difference, Report
from ggml.graph.observers import GraphNode, Observation
from ggml.graph.threads import get_num_threads, set_num_threads


def compare(
    graph: Any,
    *inputs: Any,
    a: Device | str | None = None,
    b: Device | str | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    threads: tuple[int, int] | None = None,
) -> Report:
    """Run the graph of a function or lazy tensor twice, and compare the result of every node.

    The devices may also be the last two of ``inputs``: ``compare(f, x, "CPU", "CUDA0")``. Without ``a`` it is the
    CPU; without ``b`` the first device that is not ``a``, or ``a`` itself where there is no other. Close
    means ``|a - b| <= atol + rtol * max |a|`` of the node. ``threads`` sets the CPU's threads for each of the
    runs. Both runs compute the same ggml nodes; what a device cannot compute runs on the CPU. Each node is
    computed by itself, so what a backend fuses is not fused here. Every node's value is kept in memory until the
    end. ArgumentError names the devices there are if one is not here.
    """
    if a is None and b is None and len(inputs) > 1 and all(isinstance(one, (str, Device)) for one in inputs[-2:]):
        *inputs, a, b = inputs  # type: ignore[assignment]
    first = device("CPU" if a is None else a)
    second = device(b) if b is not None else next((one for one in devices() if one != first), first)
    if threads is not None and (len(threads) != 2 or any(not isinstance(one, int) or one < 1 for one in threads)):
        raise ArgumentError("compare", f"threads={threads}", "is not a pair of numbers of threads")
    held = capture(graph, tuple(inputs))
    # Written once, for the device that can do less, so that the nodes are the same.
    others = [one for one in (first, second) if not one.is_cpu]
    names, results = [], []
    for place, one in enumerate((first, second)):
        count = None if threads is None else threads[place]
        names.append(one.native if count is None else f"{one.native} ({count} threads)")
        results.append(_values(Scheduler(held, on=one, others=others), count))
    (nodes, values), (_, twins) = results
    found = [
        _difference(node, values[node.name], twins[node.name], rtol, atol) for node in nodes if node.name in values
    ]
    return Report(names[0], names[1], rtol, atol, tuple(found))


def _values(scheduler: Scheduler, num_threads: int | None) -> tuple[list[GraphNode], dict[str, NDArray[Any]]]:
    values: dict[str, NDArray[Any]] = {}
    with _threads(num_threads), Observation(lambda name, op, shape, value: values.__setitem__(name, value)):
        scheduler.run()
    return scheduler.nodes, values


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = get_num_threads()
    if count is not None:
        set_num_threads(count)
    try:
        yield
    finally:
        set_num_threads(before)


def _difference(node: GraphNode, a: NDArray[Any], b: NDArray[Any], rtol: float, atol: float) -> Difference:
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(wide_a - wide_b)
    apart = np.where((wide_a == wide_b) | (np.isnan(wide_a) & np.isnan(wide_b)), 0.0, apart)
    apart = np.where(np.isnan(apart), np.inf, apart)
    finite = np.abs(wide_a[np.isfinite(wide_a)])
    size = float(finite.max()) if finite.size else 0.0
    max_abs = float(apart.max()) if apart.size else 0.0
    max_rel = 0.0 if max_abs == 0 else max_abs / size if size else float("inf")
    return Difference(node, max_abs, max_rel, max_abs <= atol + rtol * size)
