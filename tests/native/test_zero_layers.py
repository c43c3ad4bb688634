"""Layers of zeros in front of a slice's own are not computed: whatever their matrices hold, nothing of it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cluster.cutting.cut import SlicePlan, cut
from ggml.gguf.encode import aligned
from tests.fakes.opened import opened
from tests.native.arch_matrix import run
from tests.native.arch_models import write_model
from tests.native.changed_slices import ROLE, write_slices

pytestmark = pytest.mark.native

CUT = 2
_MATRICES = ("attn_q", "attn_output", "ffn_up", "ffn_down", "time_mix_key", "time_mix_value")


@pytest.mark.parametrize("name", ["kimi-k3-blocks", "gemma3n-dense", "rwkv7-dense"])
def test_what_stands_in_their_matrices_changes_nothing(tmp_path: Path, name: str) -> None:
    model = write_model(tmp_path / "whole.gguf", name)
    paths = write_slices(model, tmp_path, (CUT,))
    found = opened(model).gguf
    plan = cut(found, CUT, found.num_layers)
    assert plan.metadata[f"{ROLE}.in_front"].value == (1 if name == "rwkv7-dense" else CUT)
    wanted = run(paths)
    ranges = list(_matrices_in_front(plan))
    assert len(ranges) > 1
    with paths[1].open("r+b") as file:
        for offset, size_bytes in ranges:
            file.seek(offset)
            file.write(b"\x7f" * size_bytes)  # no number, in all types of weights
    for one, other in zip(wanted, run(paths), strict=True):
        np.testing.assert_array_equal(one, other)


def _matrices_in_front(plan: SlicePlan) -> Iterator[tuple[int, int]]:
    """(offset, bytes) in the file."""
    count = plan.metadata[f"{ROLE}.in_front"].value
    assert isinstance(count, int)
    offset = len(plan.header_bytes)
    for info in plan.tensors:
        words = info.name.split(".")
        if words[0] == "blk" and int(words[1]) < count and words[2] in _MATRICES and words[3] == "weight":
            assert info.source_offset is None
            yield offset, info.size_bytes
        offset += aligned(info.size_bytes)
