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

import llama_cpp
import numpy as np
from numpy.typing import NDArray

import worker_native
from cluster.api.errors import UnsupportedModelError
from cluster.cutting.boundary import boundaries
from cluster.cutting.cut import cut
from cluster.cutting.cuts import legal_cuts
from cluster.cutting.header import Header
from cluster.cutting.model import Model
from cluster.cutting.sizes import model_sizes
from cluster.sources.resolve import resolve
from cluster.stage.spec import GgufOptions, StageSpec
from cluster.store.opened import OpenModel
from cluster.store.writer import SliceFiles, write_slice
from cluster.verify.compare import compare_rows
from cluster.verify.rows import Rows
from cluster.verify.steps import Step, make_steps
from cluster.verify.whole_model import WholeModel
from ggml.gguf.tensor_types import tensor_type
from tests.fakes.opened import opened
from tests.native.arch_models import write_model

# Windows of the models are so short that a wrong one shows within the few tokens run here.
CHANGES = {"attention.sliding_window": 4}

SAVED = "+saved"  # behind a name: the model as llama.cpp's own saver writes it

StepRows = tuple[list[int], list[int], list[int], list[bool]]


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


def steps() -> Iterator[StepRows]:
    """(tokens, positions, slots, wants_logits): a prompt of 9, two single tokens, then two slots at once."""
    rng = np.random.default_rng(7)
    draw = lambda count: rng.integers(3, 128, count).tolist()  # noqa: E731
    yield draw(9), list(range(9)), [0] * 9, [False] * 8 + [True]
    yield draw(1), [9], [0], [True]
    yield draw(1), [10], [0], [True]
    yield draw(6), [11, 0, 1, 2, 3, 4], [0, 1, 1, 1, 1, 1], [True, False, True, False, False, True]
    yield draw(2), [12, 5], [0, 1], [True, True]


def open_stages(paths: Sequence[Path], stack: ExitStack) -> list[worker_native.Slice]:
    return open_slices(paths, stack, {"n_ctx": 64, "n_slots": 2, "n_batch": 64, "n_ubatch": 64, "n_threads": 1})


def open_slices(paths: Sequence[Path], stack: ExitStack, options: dict[str, Any]) -> list[worker_native.Slice]:
    return [stack.enter_context(closing(worker_native.Slice(str(path), **options))) for path in paths]


def run(paths: Sequence[Path]) -> list[NDArray[np.float32]]:
    """The logits of every step, [rows that want them, V], of the stages at `paths` in a row."""
    found = []
    with ExitStack() as stack:
        stages = open_stages(paths, stack)
        for tokens, positions, slots, wants in steps():
            ids, where, which = (np.array(values, np.int32) for values in (tokens, positions, slots))
            hidden = None
            for stage in stages:
                hidden = stage.forward(ids, where, which, np.array(wants), hidden)
            found.append(stages[-1].logits([row for row, wanted in enumerate(wants) if wanted]))
    return found


def cache_bytes(path: Path, model: Model) -> tuple[int, int]:
    f16 = tensor_type("f16")
    predicted = sum(model_sizes(model, 600, f16, f16, num_slots=2).kv_bytes)
    with closing(worker_native.Slice(str(path), n_ctx=300, n_slots=2, n_threads=1)) as whole:
        return predicted, whole.kv_bytes


def chains(cuts: Sequence[int]) -> list[tuple[int, ...]]:
    """Each cut alone, and all at once."""
    return [(layer,) for layer in cuts] + ([tuple(cuts)] if len(cuts) > 1 else [])


class Slices:
    """The slices of one model, each written once."""

    def __init__(self, folder: Path, opened: OpenModel) -> None:
        self._folder, self._opened = folder, opened
        self._written: dict[tuple[int, int], Path] = {}

    @property
    def model(self) -> Model:
        return self._opened.gguf

    def chain(self, cuts: Sequence[int]) -> list[Path]:
        return [self._slice(first, end) for first, end in pairwise([0, *cuts, self._opened.model.num_layers])]

    def _slice(self, first: int, end: int) -> Path:
        self._folder.mkdir(exist_ok=True)
        if (first, end) not in self._written:
            target = self._folder / f"{first}-{end}.gguf"
            plan = cut(self._opened.model, first, end, self._opened.hash)
            write_slice(plan, self._opened.origins, SliceFiles(target, None))
            self._written[first, end] = target
        return self._written[first, end]


def differences(path: Path, model: Model, slices: Slices, cuts: Sequence[int]) -> list[str]:
    """What `cluster verify` finds of the model cut at all of `cuts`, against llama_cpp alone."""
    chosen = make_steps(128, 64, 2, 64)
    whole = WholeModel(str(path), spec_of(path, model.header), True)
    rows, logits = whole.compute(chosen, boundaries(model, cuts))
    found = compare_rows(Rows(rows, logits), split_rows(slices.chain(cuts), cuts, chosen)).findings
    assert len(found) == len(cuts) + 1
    return [finding.what for finding in found if not finding.is_equal]


def split_rows(paths: Sequence[Path], cuts: Sequence[int], chosen: Sequence[Step]) -> Rows:
    """All hidden rows and logits of verify's steps, of the stages at `paths` in a row."""
    made: dict[int, list[NDArray[np.float32]]] = {layer: [] for layer in cuts}
    logits = []
    with ExitStack() as stack:
        *stages, last = open_stages(paths, stack)
        for step in chosen:
            batch, hidden = step.microbatch(0), None
            order = batch.tokens, batch.positions, batch.slots, batch.wants_logits
            for layer, stage in zip(cuts, stages, strict=True):
                hidden = stage.forward(*order, hidden)
                assert hidden is not None
                made[layer].append(hidden)
            last.forward(*order, hidden)
            logits.append(last.logits(list(range(batch.num_rows))))
    return Rows({layer: np.concatenate(rows) for layer, rows in made.items()}, np.concatenate(logits))


def spec_of(path: Path, header: Header) -> StageSpec:
    """The whole model at `path`, on one thread of the CPU."""
    return StageSpec(
        stage=0,
        num_stages=1,
        node="localhost",
        source=resolve(str(path)),
        model_hash="",
        first=0,
        end=header.num_layers,
        device="CPU",
        context_length=64,
        num_slots=2,
        ubatch_size=64,
        num_threads=1,
        num_threads_exclusive=1,
        first_core=None,
        options=GgufOptions("f16", "f16", "auto"),
    )


def try_model(folder: Path, name: str, report: Callable[[Outcome], None]) -> None:
    """Reports the outcome so far before each step that may end the process."""
    outcome = Outcome(name)
    path = _write(folder / f"{name}.gguf", name)
    try:
        model = opened(path)
        slices, places = Slices(folder / f"{name}.slices", model), model.model.places
        outcome.cuts = list(legal_cuts(model.model))
        report(outcome)
        outcome.cache_bytes = cache_bytes(path, model.model)
        whole = run([path])
        assert all(np.isfinite(logits).all() and np.std(logits) > 1e-6 for logits in whole)
        if outcome.cuts:
            outcome.state, outcome.reason = _try_chains(slices, whole, outcome, report)
        else:
            outcome.state, outcome.reason = "refused", places[0].refusal_unless(False)
        different = differences(path, model.model, slices, outcome.cuts)
        assert not different, f"llama_cpp alone computes others: {', '.join(different)}"
    except UnsupportedModelError as error:
        outcome.state, outcome.reason = "refused", str(error).replace(f"{path}: ", "")
    except Exception as error:
        outcome.state, outcome.reason = "wrong", f"{type(error).__name__}: {error}"
    report(outcome)


def _write(path: Path, name: str) -> Path:
    if not name.endswith(SAVED):
        return write_model(path, name, CHANGES)
    original = write_model(path.with_suffix(".original"), name.removesuffix(SAVED), CHANGES)
    params = llama_cpp.llama_model_default_params()
    model = llama_cpp.llama_model_load_from_file(str(original).encode(), params)
    llama_cpp.llama_model_save_to_file(model, str(path).encode())
    llama_cpp.llama_model_free(model)
    original.unlink()
    return path


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
