"""Slices of programs as files: each opens as a program, and one behind the other they are the whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import ggml
from cluster.api.errors import UsageError
from cluster.cutting.header import read_header
from cluster.cutting.programs.check import check_program
from cluster.cutting.programs.cut import cut_program
from cluster.store.writer import SliceFiles, write_slice
from ggml.programs.graph import Graph
from ggml.programs.program import Program
from ggml.programs.recordings.recorded import MEMORY
from ggml.programs.slices.running import Slice
from tests.fakes.opened import opened
from tests.ggml.programs.slices.graphs import chain, given_for, tensors_for, through, with_positions
from tests.unit.cutting.programs.files import model_of, saved


def written(whole: Path, first: int, end: int) -> Path:
    """The slice as the store writes it."""
    found = opened(whole)
    target = whole.with_name(f"{first}-{end}.ggp")
    write_slice(cut_program(check_program(found.model.header), first, end), found.origins, SliceFiles(target, None))
    return target


@pytest.mark.parametrize("graph", [chain(4), with_positions()], ids=["chain", "positions"])
def test_slice_files_open_and_equal_the_whole(graph: Graph, tmp_path: Path) -> None:
    whole = saved(tmp_path, graph)
    num_units = model_of(tmp_path, graph).num_layers
    given = given_for(graph, [5])
    wanted = Program(graph, tensors_for(graph))(*given.values()).numpy()
    for bounds in ((0, num_units), (0, 1, num_units), tuple(range(num_units + 1))):
        parts = []
        for first, end in pairwise(bounds):
            program = ggml.load_program(written(whole, first, end))
            parts.append(Slice(program.graph, program.weights))
        np.testing.assert_array_equal(through(parts, given, [5])["output"].numpy(), wanted)


def test_a_slice_file_is_a_model_itself(tmp_path: Path) -> None:
    """It can be cut again, into what the whole would have been cut into."""
    whole = saved(tmp_path)
    again = check_program(read_header(written(whole, 1, 3)))
    assert again.num_layers == 2
    assert list(again.named) == ["w1", "w2"]


def test_a_slice_called_by_name(tmp_path: Path) -> None:
    program = ggml.load_program(written(saved(tmp_path), 0, 1))
    found = program(x=ggml.ones(2, 3))
    assert list(found) == ["value.5"]
    assert tuple(found["value.5"].shape) == (2, 3)


def test_a_slice_has_its_own_weights_and_no_recordings(tmp_path: Path) -> None:
    graph = chain(4)
    program = Program(graph, tensors_for(graph))
    program.record(ggml.ones(3, 3))
    path = tmp_path / "model.ggp"
    program.save(path)
    header = read_header(path)
    assert any(info.name == MEMORY for info in header.tensors) or program.recordings
    plan = cut_program(check_program(header), 1, 2)
    assert [info.name for info in plan.tensors] == ["w1"]
    assert plan.weight_bytes == 36
    assert ggml.load_program(written(path, 1, 2)).num_recordings == 0


@pytest.mark.parametrize(("first", "end"), [(0, 0), (2, 1), (-1, 2), (0, 5), (4, 4)])
def test_impossible_ranges(first: int, end: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the program has units \[0, 4\)"):
        cut_program(model_of(tmp_path), first, end)
