"""Steps of training of ggml, compiled and not, in turn with those of torch, eager and compiled.

All begin with the same weights and train with the same batch, so that their losses tell whether they do the same. Each
library has a process of its own; the sides take turns, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import ggml
from ggml.benchmark.training.models import MODELS, RATE, batch, loop

COMPILED, EAGER, TORCH, TORCH_COMPILED = "ggml compiled step", "ggml eager", "torch eager", "torch.compile"

#: Steps of every side that are not measured, and those that are.
WARM, STEPS = 3, 15


@dataclass(slots=True)
class Side:
    """One way to train. ``step`` gives the seconds and the loss of a step."""

    name: str
    step: Callable[[], tuple[float, float]]
    times_s: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


class _Torch:
    """torch in a process of its own. ``problem`` says why it cannot train, if so."""

    def __init__(self, name: str, num_threads: int, weights: str, kind: str) -> None:
        command = [sys.executable, "-m", "ggml.benchmark.training.torch_side", name, str(num_threads), weights, kind]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        first = self._answer()
        self.problem = "" if first == "ready" else first or "its process ended"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def step(self) -> tuple[float, float]:
        """One step, and the loss of before it."""
        assert self._process.stdin is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        seconds, loss = self._answer().split()
        return float(seconds), float(loss)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _ours(name: str, is_compiled: bool, weights: dict[str, Any]) -> Side:
    model = MODELS[name](ggml)
    model.load_state_dict({key: ggml.tensor(value) for key, value in weights.items()})
    optimizer = ggml.optim.AdamW(model.parameters(), lr=RATE)
    x, y = (ggml.tensor(one) for one in batch(name))
    step: Any = loop(ggml, model, optimizer)
    if is_compiled:
        step = ggml.compile_step(model, ggml.nn.functional.cross_entropy, optimizer)

    def timed() -> tuple[float, float]:
        begin_s = time.perf_counter()
        loss = step(x, y).item()
        return time.perf_counter() - begin_s, loss

    return Side(COMPILED if is_compiled else EAGER, timed)


def compare(name: str, num_threads: int, steps: int, compiles: bool) -> tuple[list[Side], str]:
    """Train a model on every side, in turn, and say why torch.compile is left out, if it is."""
    ggml.manual_seed(0)
    weights = {key: value.numpy().copy() for key, value in MODELS[name](ggml).state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/weights.npz"
        np.savez(path, allow_pickle=False, **weights)
        children = [(TORCH, _Torch(name, num_threads, path, "eager"))]
        if compiles:
            children.append((TORCH_COMPILED, _Torch(name, num_threads, path, "compile")))
        try:
            sides = [_ours(name, True, weights), _ours(name, False, weights)]
            sides += [Side(kind, child.step) for kind, child in children if not child.problem]
            for turn in range(WARM + steps):
                for side in sides:
                    seconds, loss = side.step()
                    side.losses.append(loss)
                    if turn >= WARM:
                        side.times_s.append(seconds)
        finally:
            for _, child in children:
                child.close()
    return sides, " ".join(child.problem for _, child in children if child.problem)


def beside_torch(num_threads: int, steps: int = STEPS, compiles: bool = True) -> Iterator[tuple[str, str]]:
    """The medians of each model on each side, and the geometric means of the ratios to torch eager."""
    ratios: dict[str, list[float]] = {}
    for name in MODELS:
        sides, problem = compare(name, num_threads, steps, compiles)
        medians = {side.name: statistics.median(side.times_s) for side in sides}
        for side in sides:
            ratio = medians[TORCH] / medians[side.name]
            ratios.setdefault(side.name, []).append(ratio)
            text = f"median {medians[side.name] * 1e3:8.1f} ms, best {min(side.times_s) * 1e3:8.1f} ms"
            yield f"{name}: {side.name}", f"{text}, ratio {ratio:5.2f}, last loss {side.losses[-1]:.5f}"
        if problem:
            yield f"{name}: {TORCH_COMPILED}", f"left out: {problem}"
    for kind, found in ratios.items():
        if kind != TORCH and len(found) == len(MODELS):
            mean = math.exp(statistics.fmean(map(math.log, found)))
            yield f"geometric mean, {kind}", f"{mean:.2f} of torch eager's speed, least {min(found):.2f}"
