"""How a stage shares the cores of its host: with its own I/O threads, and with the other stages there."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

# GNU OpenMP's threads turn for milliseconds after a step before they sleep, on a core that the next stage
# needs. So many turns are enough to bridge the gaps inside a step.
SPIN_COUNT = 3000
# The interpreter's default is 5 ms: longer than a message may wait for a thread that computes in Python.
SWITCH_INTERVAL_S = 0.0005
# Against the I/O threads' 0: enough that a message that arrives is read at once.
COMPUTE_NICENESS = 5


def prepare_process() -> None:
    """Before libggml is loaded. What the operator has set stays."""
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def compute_at_lower_priority() -> None:
    """The calling thread, and those that ggml starts for it, give way to the threads that read and write."""
    if sys.platform == "linux":  # elsewhere niceness is the whole process's
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), COMPUTE_NICENESS)
