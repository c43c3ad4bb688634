"""Runs tiny models whole and cut, each in a process of its own: libllama may abort.

python -m tests.native.arch_matrix FOLDER NAME...   prints a line of JSON for each name, as many at once as CPUs
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import worker_native
from cluster.errors import UnsupportedModelError
from cluster.gguf import Header, cut_places, model_sizes, read_header, tensor_type
from cluster.gguf.cut import cut
from cluster.gguf.opened import open_file
from cluster.gguf.writer import SliceFiles, write_slice
from tests.native.arch_models import write_model
from tests.reference import WholeModel

# Windows of the models are so short that a wrong one shows within the few tokens run here.
CHANGES = {"attention.sliding_window": 4}

Rows = tuple[list[int], list[int], list[int], list[bool]]


@dataclass(slots=True)
class Outcome:
    """`state`: died, refused, exact, or wrong. `tried`: the cuts, one list for each chain of slices.

    `cache_bytes`: of the whole model, as predicted and as libllama reports it.
    """

    name: str
    state: str = "died"
    reason: str = ""
    cuts: list[int] = field(default_factory=list)
    tried: list[list[int]] = field(default_factory=list)
    cache_bytes: tuple[int, int] = (0, 0)


def steps() -> Iterator[Rows]:
    """(tokens, positions, slots, wants_logits): a prompt of 9, two single tokens, then two slots at once."""
    rng = np.random.default_rng(7)
    draw = lambda count: rng.integers(3, 128, count).tolist()  # noqa: E731
    yield draw(9), list(range(9)), [0] * 9, [False] * 8 + [True]
    yield draw(1), [9], [0], [True]
    yield draw(1), [10], [0], [True]
    yield draw(6), [11, 0, 1, 2, 3, 4], [0, 1, 1, 1, 1, 1], [True, False, True, False, False, True]
    yield draw(2), [12, 5], [0, 1], [True, True]


def run(paths: Sequence[Path]) -> list[NDArray[np.float32]]:
    """The logits of every step, [rows that want them, V], of the stages at `paths` in a row."""
    found = []
    with ExitStack() as stack:
        options: dict[str, Any] = {"n_ctx": 64, "n_slots": 2, "n_batch": 64, "n_ubatch": 64, "n_threads": 1}
        stages = [stack.enter_context(closing(worker_native.Slice(str(path), **options))) for path in paths]
        for tokens, positions, slots, wants in steps():
            ids, where, which = (np.array(values, np.int32) for values in (tokens, positions, slots))
            hidden = None
            for stage in stages:
                hidden = stage.forward(ids, where, which, np.array(wants), hidden)
            found.append(stages[-1].logits([row for row, wanted in enumerate(wants) if wanted]))
    return found


def cache_bytes(path: Path, header: Header) -> tuple[int, int]:
    f16 = tensor_type("f16")
    predicted = sum(model_sizes(header, 600, f16, f16, num_slots=2).kv_bytes)
    with closing(worker_native.Slice(str(path), n_ctx=300, n_slots=2, n_threads=1)) as whole:
        return predicted, whole.kv_bytes


def chains(cuts: Sequence[int]) -> list[tuple[int, ...]]:
    """Each cut alone, and all at once."""
    return [(layer,) for layer in cuts] + ([tuple(cuts)] if len(cuts) > 1 else [])


class Slices:
    """The slices of one model, each written once."""

    def __init__(self, folder: Path, path: Path, header: Header) -> None:
        self._folder, self._header, self._model = folder, header, open_file(path, header)
        self._written: dict[tuple[int, int], Path] = {}

    def chain(self, cuts: Sequence[int]) -> list[Path]:
        return [self._slice(first, end) for first, end in pairwise([0, *cuts, self._header.num_layers])]

    def _slice(self, first: int, end: int) -> Path:
        self._folder.mkdir(exist_ok=True)
        if (first, end) not in self._written:
            target = self._folder / f"{first}-{end}.gguf"
            write_slice(cut(self._header, first, end, self._model.hash), self._model.origins, SliceFiles(target, None))
            self._written[first, end] = target
        return self._written[first, end]


def agrees_with_llama_cpp(path: Path, whole: Sequence[NDArray[np.float32]]) -> bool:
    """Whether the two single tokens after the prompt give the same logits through llama_cpp alone."""
    model = WholeModel(path, n_ctx=64, n_batch=64, num_slots=2)
    try:
        tokens = [step[0] for step in steps()]
        model.forward(tokens[0])
        return all(np.array_equal(model.forward(tokens[step]), whole[step]) for step in (1, 2))
    finally:
        model.close()


def try_model(folder: Path, name: str, report: Callable[[Outcome], None]) -> None:
    """Reports the outcome so far before each step that may end the process."""
    outcome = Outcome(name)
    path = write_model(folder / f"{name}.gguf", name, CHANGES)
    header = read_header(path)
    slices = Slices(folder / f"{name}.slices", path, header)
    try:
        places = cut_places(header)
        outcome.cuts = [place.layer for place in places if not place.refusal]
        report(outcome)
        outcome.cache_bytes = cache_bytes(path, header)
        whole = run([path])
        assert all(np.isfinite(logits).all() and np.std(logits) > 1e-6 for logits in whole)
        assert agrees_with_llama_cpp(path, whole), "llama_cpp gives other logits for the whole model"
        if not outcome.cuts:
            raise UnsupportedModelError(places[0].refusal)
        outcome.state, outcome.reason = _try_chains(slices, whole, outcome, report)
    except UnsupportedModelError as error:
        outcome.state, outcome.reason = "refused", str(error).replace(f"{path}: ", "")
    except Exception as error:
        outcome.state, outcome.reason = "wrong", f"{type(error).__name__}: {error}"
    report(outcome)


def _try_chains(
    slices: Slices, whole: list[NDArray[np.float32]], outcome: Outcome, report: Callable[[Outcome], None]
) -> tuple[str, str]:
    for chain in chains(outcome.cuts):
        outcome.tried.append(list(chain))
        report(outcome)
        split = run(slices.chain(chain))
        same = [np.array_equal(one, other) for one, other in zip(whole, split, strict=True)]
        if not all(same):
            return "wrong", f"cuts {chain}: steps equal: {same}"
    return "exact", ""


def in_child(folder: Path, name: str) -> int:
    """Start a process for one model, which leaves its outcome in FOLDER/NAME.json; its process id."""
    child = os.fork()
    if child:
        return child
    target = folder / f"{name}.json"
    try:
        try_model(folder, name, lambda outcome: _replace(target, json.dumps(asdict(outcome))))
    finally:
        os._exit(0)


def _replace(target: Path, text: str) -> None:
    target.with_suffix(".part").write_text(text)
    target.with_suffix(".part").replace(target)


def main(folder: Path, names: Sequence[str]) -> None:
    waiting, running = list(reversed(names)), dict[int, str]()
    while waiting or running:
        while waiting and len(running) < len(os.sched_getaffinity(0)):
            name = waiting.pop()
            running[in_child(folder, name)] = name
        child, _ = os.wait()
        name = running.pop(child)
        outcome = folder / f"{name}.json"
        print(outcome.read_text() if outcome.exists() else json.dumps(asdict(Outcome(name))), flush=True)
        (folder / f"{name}.gguf").unlink(missing_ok=True)
        shutil.rmtree(folder / f"{name}.slices", ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
