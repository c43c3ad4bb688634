"""A file that is not mapped may be written over, shortened and removed: what was loaded stays."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import ModelFileError
from cluster.cutting.header import read_header
from cluster.stage.loading import load_stage
from cluster.stage.spec import StageSpec
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.native.arch_matrix import spec_of
from tests.native.conftest import ModelFiles

# In a process of its own, since a page of a mapped file that is gone ends it.
CHANGE = """
import os, sys
from pathlib import Path
import numpy as np
from worker_native import Slice

path = Path(sys.argv[1])
opened = Slice(str(path), n_ctx=32, n_slots=1, n_batch=16, n_ubatch=16, use_mmap=False, use_extra_bufts=False)
print(str(path) in Path("/proc/self/maps").read_text())

def logits():
    opened.prepare_slot(0, 0, 0)
    rows = np.arange(8, dtype=np.int32)
    opened.forward(rows + 3, rows, np.zeros(8, np.int32), np.ones(8, bool))
    return opened.logits(list(range(8)))

before = logits()
path.write_bytes(bytes(path.stat().st_size))
over = logits()
os.truncate(path, 0)
shorter = logits()
path.unlink()
print((before == over).all(), (before == shorter).all(), (before == logits()).all())
"""


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
def test_what_was_loaded_stays(kind: str, model_file: ModelFiles, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_file(kind).read_bytes())
    told = subprocess.run(
        [sys.executable, "-c", CHANGE, str(path)], capture_output=True, text=True, timeout=120, check=True
    )
    assert told.stdout.split() == ["False", "True", "True", "True"]


def whole_stage(model: Path) -> StageSpec:
    """One stage with all layers of the file."""
    header = read_header(model)
    small = {"context_length": 32, "num_slots": 1, "ubatch_size": 16}
    return replace(spec_of(model, header), model_hash=opened(model).hash, **small)


def test_the_user_s_own_file_is_not_mapped_and_must_not_change_while_it_is_loaded(tmp_path: Path) -> None:
    model = write_tiny(tmp_path / "model.gguf", TinyModel())
    with closing(load_stage(whole_stage(model), lambda phase, fraction: None)):
        assert str(model) not in Path("/proc/self/maps").read_text()

    def touch(phase: str, fraction: float) -> None:
        """Write to it behind its time."""
        if phase == "loading":
            status = model.stat()
            os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(ModelFileError, match=rf"^{model}: file: changed while it was loaded; run cluster up again$"):
        load_stage(whole_stage(model), touch)
