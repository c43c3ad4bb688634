"""Compares rows of ggml's table on a device with the CPU.

python -m tests.gpu.kit.rows_child DEVICE TOLERANCE ROW...     # a line of JSON for each: {"name", "why"}
"""

from __future__ import annotations

import sys
import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ggml
from cluster.node.child import answer, die_with_parent
from tests.ggml.device_rows import compare_row

NUM_EXAMPLES = 2


def main() -> int:
    die_with_parent()
    device, tolerance = ggml.device(sys.argv[1]), float(sys.argv[2])
    warnings.simplefilter("ignore")
    for name in sys.argv[3:]:
        answer({"name": name, "why": _why_not(name, device, tolerance)})
    return 0


def _why_not(name: str, device: object, tolerance: float) -> str:
    """Why the row is not what it is on the CPU; empty if it is."""

    @settings(max_examples=NUM_EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(data=st.data())
    def compare(data: st.DataObject) -> None:
        compare_row(name, data.draw, device, tolerance)

    try:
        compare()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
