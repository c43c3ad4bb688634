"""Slices that round otherwise than their model: close to it, and close because of all that their files say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cluster.cutting.cut import SlicePlan, cut, plan_file
from cluster.cutting.cuts import legal_cuts
from cluster.store.writer import SliceFiles, write_slice
from tests.fakes.opened import opened
from tests.native.arch_matrix import run
from tests.native.arch_models import write_model

pytestmark = pytest.mark.native

# Of the largest logit. Adding up in another order differs by about 3e-7 of it in 64 layers, so that keys and values
# seldom are other numbers of 11 bits; a graph that is another is off by more than a hundredth.
CLOSE, FAR = 1e-5, 1e-2
CUTS = ((1,), (32,), (63,), (10, 20, 33))
ROLE = "ggml_cluster.slice"
Logits = list[NDArray[np.float32]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("rounding") / "large.gguf", "command-r-plus")


def without(plan: SlicePlan, key: str) -> SlicePlan:
    """The slice file with one key less."""
    metadata = {name: value for name, value in plan.metadata.items() if name != key}
    return plan_file(plan.first, plan.end, plan.num_layers, metadata, plan.tensors)


def slices(model: Path, folder: Path, cuts: Sequence[int], left_out: str = "") -> list[Path]:
    source, found = opened(model), []
    for first, end in pairwise([0, *cuts, source.model.num_layers]):
        plan = without(cut(source.gguf, first, end, source.hash), f"{ROLE}.{left_out}")
        found.append(folder / f"{first}-{end}.gguf")
        write_slice(plan, source.origins, SliceFiles(found[-1], None))
    return found


def difference(whole: Logits, split: Logits) -> float:
    """The largest, as a share of the largest logit."""
    pairs = list(zip(whole, split, strict=True))
    return float(max(np.abs(one - other).max() for one, other in pairs) / max(np.abs(one).max() for one, _ in pairs))


def test_it_is_not_cut_unless_rounding_is_allowed(model: Path) -> None:
    found = opened(model).gguf
    assert legal_cuts(found) == ()
    assert legal_cuts(found, allow_rounding=True) == tuple(range(1, 64))


def test_slices_are_close_to_the_model(model: Path, tmp_path: Path) -> None:
    whole = run([model])
    for cuts in CUTS:
        found = difference(whole, run(slices(model, tmp_path, cuts)))
        assert 0 < found < CLOSE, cuts


@pytest.mark.parametrize("left_out", ["rope_mode", "logit_scale"])
def test_they_would_be_far_from_it_without_what_their_files_say(model: Path, tmp_path: Path, left_out: str) -> None:
    assert difference(run([model]), run(slices(model, tmp_path, (32,), left_out))) > FAR


def test_where_they_are_cut_changes_no_bit(model: Path, tmp_path: Path) -> None:
    one, other = (run(slices(model, tmp_path, cuts)) for cuts in CUTS[1:3])
    assert all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def test_the_model_itself_stays_exact(model: Path) -> None:
    plan = cut(opened(model).gguf, 0, 64)
    assert plan.metadata["general.architecture"].value == "command-r"
    assert not any(key.startswith((f"{ROLE}.rope", f"{ROLE}.logit")) for key in plan.metadata)
