"""Qwen3.5, some of whose layers keep a running state: a slot behind a picture is copied whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.native.pictures.chain import sliced
from tests.native.pictures.sections.families import Seen
from tests.native.pictures.sections.pipeline import forward, runs_of

pytestmark = pytest.mark.native


def test_a_slot_is_copied_whole_behind_a_picture(see: Callable[[str], Seen], tmp_path: Path) -> None:
    seen = see("qwen3.5")
    with sliced(seen.model, (4,), tmp_path) as slices:
        text, picture, *rest = runs_of(seen.prompt, 0)
        forward(slices, text)
        forward(slices, picture)
        for one in slices:
            one.prepare_slot(1, 0, picture.end)
        logits = [forward(slices, run._replace(slot=1)) for run in rest][-1][0]
        assert np.array_equal(logits, seen.whole.logits[0])
        with pytest.raises(ValueError, match="cannot go back"):
            slices[0].prepare_slot(0, 0, picture.first)
