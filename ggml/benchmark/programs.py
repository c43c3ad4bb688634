"""Programs beside the libraries that run the same models: torch without compiling, and llama.cpp on the same blocks.

Each library has a process of its own, and they take turns, so that what else the machine does meets both. A ratio of 1
is as fast, and more is faster; it is that of the medians, and of the best rounds.
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ggml.benchmark.gguf_file import write_llama
from ggml.benchmark.shapes import BATCHES, LLAMAS, MODELS, PROMPT, STEPS, example
from ggml.programs import load_program

Row = tuple[str, str]

#: Rounds of each comparison. A round is one call of both, or a few steps.
ROUNDS = 7


class _Child:
    """A process that answers a line with seconds."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.answer()

    def answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self._process.args))} ended")  # type: ignore[arg-type]
        return line

    def seconds(self, question: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return float(self.answer())

    def close(self) -> None:
        self._process.communicate()


@contextmanager
def _child(*command: str) -> Iterator[_Child]:
    child = _Child(*command)
    try:
        yield child
    finally:
        child.close()


def _spent_s(call: Callable[[], object]) -> float:
    begin_s = time.perf_counter()
    call()
    return time.perf_counter() - begin_s


def _compared(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> tuple[str, float]:
    """Both in turn: what is printed, and the ratio of the best rounds."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    mine, other = zip(*pairs, strict=True)
    best, middle = min(other) / min(mine), statistics.median(other) / statistics.median(mine)
    times = f"{min(mine) * 1e3:9.1f} ms, {min(other) * 1e3:9.1f} ms, ratio {best:5.2f}"
    medians = f"{statistics.median(mine) * 1e3:9.1f} ms, {statistics.median(other) * 1e3:9.1f} ms, ratio {middle:5.2f}"
    return f"best {times}; median {medians}", best


def beside_torch(num_threads: int, rounds: int = ROUNDS) -> Iterator[Row]:
    """Models of usual sizes in float32, and the geometric mean of their ratios."""
    ratios = []
    for name in MODELS:
        for batch in BATCHES:
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/model.ggp"
                with _child("ggml.benchmark.torch_side", name, str(batch), str(num_threads), path) as torch:
                    program, x = load_program(path), example(name, batch)
                    text, ratio = _compared(
                        lambda program=program, x=x: _spent_s(lambda: program(x)),  # type: ignore[misc]
                        lambda torch=torch: torch.seconds("call"),  # type: ignore[misc]
                        rounds,
                    )
                    del program
            ratios.append(ratio)
            yield f"{name}, batch {batch}", text
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    yield "geometric mean of the best", f"{mean:.2f}, least {min(ratios):.2f}"


def beside_llama_cpp(name: str, num_threads: int, rounds: int = ROUNDS) -> Iterator[Row]:
    """A Llama at q8_0: a prompt, and steps of one token behind it."""
    shape = LLAMAS[name]
    tokens, positions = np.arange(PROMPT)[None], np.arange(PROMPT)
    with tempfile.TemporaryDirectory() as folder:
        path, other = f"{folder}/model.ggp", Path(folder) / "model.gguf"
        command = [sys.executable, "-m", "ggml.benchmark.torch_side", name, "1", str(num_threads), path]
        subprocess.run(command, check=True)
        program = load_program(path)
        write_llama(program, shape, other)

        def steps() -> float:
            begin_s = time.perf_counter()
            for step in range(STEPS):
                program(np.array([[step]]), np.array([PROMPT + step]))
            return (time.perf_counter() - begin_s) / STEPS

        arguments = (str(other), str(shape.capacity), str(num_threads))
        with _child("ggml.benchmark.llama_cpp_side", *arguments) as llama:
            for what, ours in (("prefill", lambda: _spent_s(lambda: program(tokens, positions))), ("decode", steps)):
                text, _ = _compared(ours, lambda what=what: llama.seconds(what), rounds)  # type: ignore[misc]
                yield f"{name} q8_0, {what} at {PROMPT}", text
