"""Measures what this library adds to ggml's own time, and how it stands beside torch where that is installed.

    python -m ggml.tools.benchmark                 # all tables, about a minute
    python -m ggml.tools.benchmark --threads 1     # as many threads as that
    python -m ggml.tools.benchmark --beside-torch  # the last table only

Times are the best of several rounds: a machine can only be slower than it is.
"""

from __future__ import annotations

import argparse
import functools
import gc
import os
import time
from collections.abc import Callable
from pathlib import Path

import ggml
from ggml.backend.capture import capture
from ggml.graph.executable import compile_plan
from ggml.graph.lowering import lower_plan
from ggml.graph.plan import plan
from ggml.tools import beside_torch

_ROUNDS = 7


def best_s(call: Callable[[], object], seconds: float = 0.05) -> float:
    """Seconds of one call, the best of several rounds that each last about so long."""
    call()
    times = 1
    while True:
        start = time.perf_counter()
        for _ in range(times):
            call()
        spent = time.perf_counter() - start
        if spent > seconds / 2 or times > 1 << 20:
            break
        times *= 2
    best = spent / times
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(times):
            call()
        best = min(best, (time.perf_counter() - start) / times)
    return best


def step_overhead() -> list[tuple[str, str]]:
    """A compiled step beside the same ggml graph, run from C."""
    rows = []
    for width in (16, 128, 512):
        x, w = ggml.randn(8, width), ggml.randn(width, width)
        step = ggml.compile(functools.partial(_step, w=w))
        call = best_s(functools.partial(step, x))
        recording = next(iter(step._recordings.values()))
        leaves = [x.buffer() if isinstance(one, int) else one for one in recording.leaves]
        inputs = leaves + recording.program.constants
        alone = min(recording.program.graph.measure(inputs, 200) for _ in range(_ROUNDS))
        text = f"{call * 1e6:8.1f} us, graph alone {alone * 1e6:8.1f} us, added {(call - alone) * 1e6:5.1f} us"
        rows.append((f"compiled step, width {width}", text))
    return rows


def _step(x: ggml.Tensor, w: ggml.Tensor) -> ggml.Tensor:
    return (x @ w).relu().softmax(-1)


def matmul_overhead(size: int = 1024) -> list[tuple[str, str]]:
    """An eager product beside ggml's own time for it."""
    a, b = ggml.randn(size, size), ggml.randn(size, size)
    held = capture(lambda a, b: a @ b.T, (a, b))  # as ggml multiplies: rows by rows
    program = compile_plan(held.plan, held.device)
    program.graph.run([*held.leaves, *program.constants])
    native = min(program.graph.measure([*held.leaves, *program.constants], 3) for _ in range(_ROUNDS))
    eager = best_s(lambda: (a @ b.T).buffer(), 0.2)
    plain = best_s(lambda: (a @ b).buffer(), 0.2)
    gflops = 2 * size**3 / eager / 1e9
    return [
        (f"a @ b.T, {size}", f"{eager * 1e3:8.2f} ms, ggml {native * 1e3:8.2f} ms, ratio {eager / native:5.3f}"),
        (f"a @ b, {size}", f"{plain * 1e3:8.2f} ms (b is transposed first); a @ b.T is {gflops:.0f} GFLOP/s"),
    ]


def construction(num_nodes: int = 1000) -> list[tuple[str, str]]:
    """Recording, lowering and building a chain of operations that makes as many ggml nodes."""
    x = ggml.ones(8)

    def record() -> ggml.Tensor:
        y = x
        for i in range(num_nodes // 3):  # each turn is two operations, and a view between them
            y = (y + x).abs() if i % 2 else (y * x).neg()
        return y

    recorded = best_s(record, 0.2)
    todo = plan([record()._node])
    lowered = best_s(lambda: lower_plan(todo, x.device), 0.2)
    built = best_s(lambda: compile_plan(todo, x.device), 0.2)
    name = f"{compile_plan(todo, x.device).graph.num_nodes} nodes"
    return [
        (f"{name}: recorded", f"{recorded * 1e3:8.2f} ms"),
        (f"{name}: lowered", f"{lowered * 1e3:8.2f} ms (once for each shape)"),
        (f"{name}: ggml graph built", f"{(built - lowered) * 1e3:8.2f} ms (once for each shape)"),
    ]


def growth(times: int = 5000) -> list[tuple[str, str]]:
    """Resident memory before and after a loop."""
    step = ggml.compile(lambda x: (x * 2).tanh().sum(0))

    def loop(count: int) -> None:
        for _ in range(count):
            x = ggml.rand(64, 64)
            step(x).numpy()
            (x @ x).relu().mean().item()

    loop(500)
    gc.collect()
    before = resident_bytes()
    loop(times)
    gc.collect()
    return [(f"memory after {times} iterations", f"{(resident_bytes() - before) / 1024:8.0f} KiB more")]


def resident_bytes() -> int:
    """Resident memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m ggml.tools.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=ggml.get_num_threads(), help="threads of the CPU")
    parser.add_argument("--beside-torch", action="store_true", help="only the calls that are compared with torch")
    arguments = parser.parse_args()
    num_threads = arguments.threads
    ggml.set_num_threads(num_threads)
    print(f"{ggml.backend.info().description}, {num_threads} threads")
    own = () if arguments.beside_torch else (step_overhead, matmul_overhead, construction, growth)
    tables: list[Callable[[], list[tuple[str, str]]]] = [*own, functools.partial(beside_torch.table, num_threads)]
    for table in tables:
        for name, text in table():
            print(f"{name:32} {text}")


if __name__ == "__main__":
    main()
