"""Where rows enter and leave a slice's graph is in its file: what a file says amiss is an error, never a crash."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import worker_native
from cluster.cutting.cut import cut, plan_file
from cluster.cutting.planned import PlannedTensor
from cluster.store.writer import SliceFiles, write_slice
from ggml.gguf.value import MetadataValue, string, string_array, uint32
from tests.fakes.opened import opened
from tests.native.arch_matrix import CHANGES
from tests.native.arch_models import write_model

pytestmark = pytest.mark.native

ROLE = "ggml_cluster.slice"


def slice_with(folder: Path, name: str, changes: dict[str, MetadataValue]) -> Path:
    """Layers [3, 5) of a tiny model, with other keys of its role."""
    model, target = opened(write_model(folder / f"{name}.gguf", name, CHANGES)), folder / "slice.gguf"
    plan = cut(model.model, 3, 5)
    keys = plan.metadata | {f"{ROLE}.{key}": value for key, value in changes.items()}
    tensors: tuple[PlannedTensor, ...] = plan.tensors
    write_slice(plan_file(3, 5, 8, keys, tensors), model.origins, SliceFiles(target, None))
    return target


def load(path: Path) -> worker_native.Slice:
    return worker_native.Slice(str(path), n_ctx=16, n_slots=1, n_threads=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": string_array(("", "inp_embd", "", ""))}, "'' names no tensor"),
        ({"outputs": string_array(("", "", "", ""))}, "'' names no tensor"),
        ({"outputs": string_array(("l_out-4",))}, "1 of them for 4 inputs"),
        ({"outputs": string_array(("l_out-4", "x" * 128, "", ""))}, "names no tensor"),
        ({"outputs": string_array(("l_out-4[x]", "", "", ""))}, r"'l_out-4\[x\]' names no tensor"),
        ({"outputs": string_array(("l_out-4[-1]", "", "", ""))}, "names no tensor"),
        ({"outputs": string_array(("l_out-4[1", "", "", ""))}, "names no tensor"),
        ({"outputs": string_array(("l_out-4[99999999999999999999]", "", "", ""))}, "names no tensor"),
        ({"inputs": string_array(("a",) * 513)}, "512"),
        ({"inputs": string("l_out-2")}, "inputs"),
        ({"hidden_width": uint32(511)}, "no multiple of its 4 inputs"),
        ({"hidden_width": uint32(2**31)}, "hidden_width"),
    ],
)
def test_a_role_that_is_amiss_is_an_error(tmp_path: Path, changes: dict[str, MetadataValue], message: str) -> None:
    path = slice_with(tmp_path, "kimi-k3-blocks", changes)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": string_array(("l_out-4[1]", "", "", ""))}, "is not f32 of"),
        ({"inputs": string_array(("l_out-2[7]", "", "", ""))}, "is not f32 of"),
        ({"outputs": string_array(("l_out-4", "res_probs-4", "", ""))}, "is not f32 of"),
        ({"outputs": string_array(("l_out-4", "l_out-9", "", ""))}, "the graph computed no tensor l_out-9"),
        ({"hidden_width": uint32(4)}, "is not f32 of"),
        ({"hidden_width": uint32(1 << 20)}, "is not f32 of"),
    ],
)
def test_tensors_that_are_none_of_rows_are_an_error(
    tmp_path: Path, changes: dict[str, MetadataValue], message: str
) -> None:
    with closing(load(slice_with(tmp_path, "kimi-k3-blocks", changes))) as stage:
        ids = np.array([1], np.int32)
        at = np.zeros(1, np.int32)
        with pytest.raises(RuntimeError, match=message):
            stage.forward(ids, at, at, np.ones(1, bool), np.zeros((1, stage.hidden_width), np.float32))


def test_what_comes_in_is_handed_on(tmp_path: Path) -> None:
    """Layers [3, 5) of blocks of 3: the parts of blocks 0 and 2 are as they came, that of block 1 is the rows."""
    with closing(load(slice_with(tmp_path, "kimi-k3-blocks", {}))) as stage:
        rows = np.random.default_rng(0).standard_normal((2, 512), np.float32)
        rows[:, 256:] = 0
        at = np.arange(2, dtype=np.int32)
        made = stage.forward(at + 1, at, at * 0, np.ones(2, bool), rows)
        assert made is not None
        assert not np.array_equal(made[:, :128], rows[:, :128])
        assert np.array_equal(made[:, 128:256], rows[:, 128:256])
        assert np.array_equal(made[:, 256:384], rows[:, :128])
        assert np.array_equal(made[:, 384:], rows[:, 384:])
