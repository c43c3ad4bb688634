"""Windows in slices whose own number of layers libllama gives none: those of the whole model, whatever slots hold."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.native.arch_matrix import open_slices, run
from tests.native.arch_models import write_model
from tests.native.changed_slices import difference, write_slices
from tests.native.conftest import Row, arrays
from worker_native import Slice

pytestmark = pytest.mark.native

CUTS, NUM_SLOTS, CONTEXT = (11, 30), 4, 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(
        tmp_path_factory.mktemp("windows") / "large.gguf", "exaone4-32b", {"attention.sliding_window": 4}
    )


@pytest.fixture(scope="module")
def paths(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_slices(model, tmp_path_factory.mktemp("slices"), CUTS)


@pytest.fixture(params=["auto", "off"])
def both(request: pytest.FixtureRequest, model: Path, paths: list[Path]) -> Iterator[tuple[list[Slice], list[Slice]]]:
    """The whole model, and its slices. Without flash attention the mask goes into another operation."""
    options: dict[str, Any] = {"n_ctx": CONTEXT, "n_slots": NUM_SLOTS, "n_batch": 64, "n_ubatch": 8, "n_threads": 1}
    with ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            open_slices(chain, stack, {**options, "flash_attn": request.param}) for chain in ([model], paths)
        )


def forward(stages: Sequence[Slice], rows: list[Row]) -> NDArray[np.float32]:
    hidden = None
    for stage in stages:
        hidden = stage.forward(*arrays(rows), hidden)
    return np.array(stages[-1].wanted_logits())


def test_any_order_of_cuts_copies_and_steps_gives_what_the_whole_model_gives(
    both: tuple[list[Slice], list[Slice]],
) -> None:
    draw = random.Random(3)
    whole = both[0][0]
    for turn in range(60):
        slot, source = draw.randrange(NUM_SLOTS), draw.randrange(NUM_SLOTS)
        if draw.random() < 0.4:
            length = draw.randint(0, whole.slot_length(source))
            for stage in (*both[0], *both[1]):
                stage.prepare_slot(slot, source, length)
            continue
        # A chunk, in more ubatches than one at times; or single rows of several slots, with others between them.
        counts = {slot: draw.randint(1, 12)} if draw.random() < 0.5 else dict.fromkeys({0, slot, NUM_SLOTS - 1}, 1)
        rows = [
            (draw.randrange(3, 128), whole.slot_length(one) + row, one, row + 1 == count)
            for one, count in sorted(counts.items())
            if whole.slot_length(one) + count <= CONTEXT
            for row in range(count)
        ]
        if rows:
            np.testing.assert_array_equal(forward(both[0], rows), forward(both[1], rows), err_msg=str(turn))


def test_what_the_files_say_matters(model: Path, paths: list[Path], tmp_path: Path) -> None:
    whole = run([model])
    assert difference(whole, run(paths)) == 0
    assert difference(whole, run(write_slices(model, tmp_path, CUTS, {"window": None}))) > 1e-3
