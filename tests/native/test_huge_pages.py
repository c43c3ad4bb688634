"""A slice lies in huge pages, where the system has them; what else the process holds is left as it is."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from tests.native.conftest import ModelFiles, prompt, run
from worker_native import Slice

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
OURS_BYTES = 64 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def huge_bytes() -> int:
    """Of this process, in huge pages."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:")) * 1024


def can_collapse() -> bool:
    if not SETTING.exists() or "[never]" in SETTING.read_text(encoding="utf-8"):
        return False
    with mmap.mmap(-1, 4 << 20, flags=PRIVATE) as probe:
        probe[:] = bytes(4 << 20)
        try:
            probe.madvise(25)  # MADV_COLLAPSE
        except OSError:
            return False
    return True


@pytest.mark.skipif(not can_collapse(), reason="needs transparent huge pages and Linux 6.1")
def test_a_slice_lies_in_huge_pages(model_file: ModelFiles) -> None:
    before = huge_bytes()
    other = mmap.mmap(-1, OURS_BYTES, flags=PRIVATE)
    other[:] = bytes(OURS_BYTES)
    assert huge_bytes() == before
    opened = Slice(str(model_file()), n_ctx=1 << 17, n_slots=2, n_batch=32, n_ubatch=32)
    assert opened.kv_bytes >= 2 * OURS_BYTES
    in_huge_pages = huge_bytes() - before
    assert 0.8 * opened.kv_bytes < in_huge_pages < opened.kv_bytes + OURS_BYTES // 2
    assert np.isfinite(run([opened], prompt([1, 2, 3]))).all()
    opened.close()
    assert huge_bytes() - before < 32 << 20
    other.close()
