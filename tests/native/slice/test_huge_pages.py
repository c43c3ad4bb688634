"""A slice lies in huge pages, where the system has them; what else the process holds is left as it is."""

from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native.conftest import ModelFiles

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
COLLAPSE = 25  # MADV_COLLAPSE
# In a process of its own, where malloc has nothing left of others to give to the slice.
LOAD = """
import mmap, sys
from pathlib import Path
from worker_native import Slice

def huge_bytes():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:")) * 1024

other = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
other[:] = bytes(64 << 20)
before = huge_bytes()
opened = Slice(sys.argv[1], n_ctx=1 << 17, n_slots=2, n_batch=32, n_ubatch=32)
loaded, kv_bytes = huge_bytes(), opened.kv_bytes
opened.close()
print(before, kv_bytes, loaded, huge_bytes())
"""


def can_collapse() -> bool:
    """And nothing lies in huge pages unless it is asked for."""
    if not SETTING.exists() or "[madvise]" not in SETTING.read_text(encoding="utf-8"):
        return False
    with mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as probe:
        probe[:] = bytes(4 << 20)
        try:
            probe.madvise(COLLAPSE)
        except OSError:
            return False
    return True


@pytest.mark.skipif(not can_collapse(), reason="needs Linux 6.1 with transparent huge pages on request (madvise)")
def test_a_slice_lies_in_huge_pages(model_file: ModelFiles) -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOAD, str(model_file())], capture_output=True, text=True, timeout=120, check=True
    )
    before, kv_bytes, loaded, closed = map(int, told.stdout.split())
    assert kv_bytes == 128 << 20
    assert before == 0
    assert 0.8 * kv_bytes < loaded < kv_bytes + (32 << 20)
    assert closed < 32 << 20
