"""Slices in a row in this process, and whole libllama beside them: the same rows, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

import worker_native
from cluster.cutting.header import read_header
from cluster.messages.step import Float32Array
from cluster.verify.rows import greedy, max_delta
from cluster.verify.steps import Step
from cluster.verify.whole_model import WholeModel
from tests.fakes.opened import opened
from tests.gpu.kit.finding import Finding, judged
from tests.native.arch_matrix import Slices, spec_of

CONTEXT_LENGTH = 64
NUM_SLOTS = 8
BATCH_ROWS = 64
# Of the largest logit. Kernels of one device that are not the same for one slice and for the whole model (fused or
# not) round each sum in another order.
TOLERANCE = 1e-3


class Chain:
    """Slices [cut, next cut) of a model, each on its device. In a with block."""

    def __init__(self, model: Path, cuts: Sequence[int], devices: Sequence[str]) -> None:
        bounds = [0, *cuts, read_header(model).num_layers]
        paths = [model] if not cuts else Slices(model.with_suffix(".slices"), opened(model)).chain(cuts)
        assert len(list(pairwise(bounds))) == len(devices), "one device for each slice"
        self._stack = ExitStack()
        self.slices = [self._opened(path, device) for path, device in zip(paths, devices, strict=True)]

    def _opened(self, path: Path, device: str) -> worker_native.Slice:
        found = worker_native.Slice(
            str(path),
            device=device,
            n_ctx=CONTEXT_LENGTH,
            n_slots=NUM_SLOTS,
            n_batch=BATCH_ROWS,
            n_ubatch=BATCH_ROWS,
            n_threads=1,
        )
        return self._stack.enter_context(closing(found))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def vocab_size(self) -> int:
        return self.slices[-1].vocab_size

    def compute(self, steps: Sequence[Step]) -> Float32Array:
        """The logits [T, V] of all rows of all steps, which continue what the slots hold."""
        return np.concatenate([self._step(step) for step in steps])

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        """On all slices: `slot` holds what `source` holds, as far as `length`."""
        for part in self.slices:
            part.prepare_slot(slot, source, length)

    def clear(self) -> None:
        """Forget all sequences."""
        for slot in range(NUM_SLOTS):
            self.prepare_slot(slot, slot, 0)

    def _step(self, step: Step) -> Float32Array:
        batch, hidden = step.microbatch(0), None
        for part in self.slices:
            hidden = part.forward(batch.tokens, batch.positions, batch.slots, batch.wants_logits, hidden)
        return self.slices[-1].logits(list(range(batch.num_rows)))


def whole_logits(model: Path, device: str, steps: Sequence[Step]) -> Float32Array:
    """What llama_cpp alone computes on the device, from an empty cache. Its memory is this process's until the end."""
    spec = replace(spec_of(model, read_header(model)), device=device, num_slots=NUM_SLOTS)
    _, logits = WholeModel(str(model), spec, True).compute(steps, ())
    return logits


def rows(slot: int, first: int, tokens: Sequence[int]) -> Step:
    """One step of one sequence."""
    return Step(tuple(tokens), tuple(range(first, first + len(tokens))), (slot,) * len(tokens))


def compared(what: str, one: Float32Array, other: Float32Array) -> Finding:
    """Equal bits, or as near as the tolerance; both are told. Not a number is never right."""
    is_equal = one.shape == other.shape and np.array_equal(one.view(np.uint32), other.view(np.uint32))
    delta = max_delta(one, other)
    scale = float(np.abs(other).max(initial=0.0))
    same = sum(a == b for a, b in zip(greedy(one), greedy(other), strict=False))
    return judged(
        what,
        bool(is_equal or delta <= TOLERANCE * scale),
        f"they differ by more than {TOLERANCE:g} of the largest",
        bit_equal=bool(is_equal),
        max_delta=delta,
        largest=scale,
        greedy_equal=f"{same}/{len(other)}",
    )
