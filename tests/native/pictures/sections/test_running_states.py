"""Qwen3.5, some of whose layers keep a running state: its pictures have lines and columns, too."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cluster.pictures.encoder import PictureEncoder
from cluster.pictures.projector import open_projector
from tests.fakes.projectors.qwen import QwenProjector
from tests.native.pictures.sections.families import (
    NUM_TOKENS,
    PICTURES,
    TEXTS,
    DescribedFamily,
    Seen,
    prompt_of,
    sliced,
)
from tests.native.pictures.sections.pipeline import decode, forward, prefill, runs_of
from tests.native.pictures.whole import MARK, ask_mtmd

pytestmark = pytest.mark.native

PROJECTOR = QwenProjector(kind="qwen3vl_merger", row_width=256)


@pytest.fixture(scope="module", params=["qwen35-dense", "qwen35moe-moe"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("running")
    model, projector = DescribedFamily(request.param, PROJECTOR).write(folder)
    whole = ask_mtmd(model, projector, PICTURES, MARK.join(TEXTS), NUM_TOKENS, folder)
    with closing(PictureEncoder(open_projector(str(projector)), model, 1)) as encoder:
        return Seen(model, projector, whole, *prompt_of(model, encoder))


@pytest.mark.parametrize("cuts", [(), (4,), (2, 6)], ids=["whole", "two", "three"])
def test_logits_are_those_of_mtmd_on_the_whole_model(cuts: tuple[int, ...], running: Seen, tmp_path: Path) -> None:
    with sliced(running.model, cuts, tmp_path) as slices:
        for slot in (0, 2):
            logits = [
                prefill(slices, running.prompt, slot),
                *decode(slices, running.prompt, slot, running.whole.tokens[:-1]),
            ]
            assert np.array_equal(np.stack(logits), running.whole.logits)


def test_a_slot_is_copied_whole_behind_a_picture(running: Seen, tmp_path: Path) -> None:
    with sliced(running.model, (4,), tmp_path) as slices:
        text, picture, *rest = runs_of(running.prompt, 0)
        forward(slices, text)
        forward(slices, picture)
        for one in slices:
            one.prepare_slot(1, 0, picture.end)
        logits = [forward(slices, run._replace(slot=1)) for run in rest][-1][0]
        assert np.array_equal(logits, running.whole.logits[0])
