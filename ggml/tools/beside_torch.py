"""The same calls here and in torch, round about, so that both meet the machine in the same state.

    python -m ggml.tools.benchmark --beside-torch              # with as many threads as there are cores
    python -m ggml.tools.benchmark --beside-torch --threads 1

torch runs in a child: the idle threads of two OpenMP libraries in one process take each other's cores. Inputs are made
before, results are dropped.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import ggml

_ROUNDS = 21
_ROUND_S = 0.03


def calls(library: Any) -> dict[str, Callable[[], Any]]:
    """What is measured, in either library: each call makes a tensor of new values."""
    nn, functional = library.nn, library.nn.functional
    x, y = library.randn(1024, 1024), library.randn(1024, 1024)
    weight, bias = library.randn(1024), library.randn(1024)
    images, kernels = library.randn(8, 64, 32, 32), library.randn(64, 64, 3, 3)
    query, key, value = (library.randn(1, 8, 512, 64) for _ in range(3))
    lstm, steps = nn.LSTM(128, 128), library.randn(32, 8, 128)
    return {
        "layer_norm 1024 x 1024, affine": lambda: functional.layer_norm(x, (1024,), weight, bias),
        "LSTM 128, 32 steps of 8, eager": lambda: lstm(steps)[0],
        "gelu 1024 x 1024": lambda: functional.gelu(x),
        "add 1024 x 1024": lambda: x + y,
        "matmul 1024": lambda: x @ y,
        "conv2d 3 x 3, 8 x 64 x 32 x 32": lambda: functional.conv2d(images, kernels, padding=1),
        "attention 8 x 512 x 64": lambda: functional.scaled_dot_product_attention(query, key, value),
        "softmax 1024 x 1024": lambda: functional.softmax(x, -1),
        "sum 1024 x 1024": lambda: x.sum(-1),
    }


def _spent_s(call: Callable[[], Any], times: int) -> float:
    begin_s = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - begin_s


class _Child:
    """torch in a process of its own: a line asks for a number of calls, the answer is their seconds."""

    def __init__(self, num_threads: int) -> None:
        command = [sys.executable, "-m", "ggml.tools.beside_torch", str(num_threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def spent_s(self, name: str, times: int) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{times} {name}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def table(num_threads: int) -> list[tuple[str, str]]:
    """A row for each call: the medians, and the ratio of the medians and of the best rounds."""
    if importlib.util.find_spec("torch") is None:
        return [("torch", "is not installed: pip install 'ggml-cluster[torch]'")]
    child, rows = _Child(num_threads), []
    for name, call in calls(ggml).items():

        def ours(call: Callable[[], Any] = call) -> None:
            call().buffer()

        counts = [_count(functools.partial(_spent_s, ours)), _count(functools.partial(child.spent_s, name))]
        here, there = [], []
        for _ in range(_ROUNDS):
            here.append(_spent_s(ours, counts[0]) / counts[0])
            there.append(child.spent_s(name, counts[1]) / counts[1])
        mine, other = statistics.median(here), statistics.median(there)
        text = f"{mine * 1e6:9.1f} us, torch {other * 1e6:9.1f} us, ratio {mine / other:5.2f}"
        rows.append((name, f"{text}, of the best {min(here) / min(there):5.2f}"))
    child.close()
    return rows


def _count(spent_s: Callable[[int], float]) -> int:
    """How many calls last about a round."""
    spent_s(2)
    times = 1
    while spent_s(times) < _ROUND_S / 2:
        times *= 2
    return times


def _serve(num_threads: int) -> None:
    torch = importlib.import_module("torch")
    torch.set_num_threads(num_threads)
    known = calls(torch)
    with torch.no_grad():
        for line in sys.stdin:
            times, name = line.rstrip("\n").split(" ", 1)
            print(_spent_s(known[name], int(times)), flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
