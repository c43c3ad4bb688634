"""How a stage shares the cores of its host: with its own I/O threads, and with the other stages there."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from cluster.node.core_dumps import forbid_core_dumps
from cluster.stage.tuning import COMPUTE_NICENESS, SPIN_COUNT, SWITCH_INTERVAL_S

# An operator who sets one of these has bound the threads that compute, or wants them free.
_BINDING = ("OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY")


def prepare_process() -> None:
    """Before libggml is loaded. What the operator has set stays."""
    forbid_core_dumps()
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))
    sys.setswitchinterval(SWITCH_INTERVAL_S)


@contextlib.contextmanager
def bound_cores(first_core: int | None) -> Iterator[int | None]:
    """Around the loading of libggml: the threads that compute shall each stay on one core.

    A step ends with the slowest of its threads: two that wake on one core take twice as long, until the system
    notices. `first_core`, an index into the cores that this process may use, is that of the first thread, which is
    given here for `prepare_compute_thread`; the others have those that follow. None: the system places them.
    """
    if first_core is None or sys.platform != "linux" or any(name in os.environ for name in _BINDING):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    cores = cores_from(allowed, first_core)
    os.environ["OMP_PLACES"] = ",".join(f"{{{core}}}" for core in cores)
    os.environ["OMP_PROC_BIND"] = "true"
    try:
        yield cores[0]
    finally:
        # The library binds the thread that loads it, which computes nothing and whose threads would inherit it.
        os.sched_setaffinity(0, allowed)


def cores_from(allowed: set[int], first_core: int) -> list[int]:
    """All of them in the order in which one stage takes them: its own first, then its neighbours'."""
    cores = sorted(allowed)
    first = first_core % len(cores)
    return cores[first:] + cores[:first]


def prepare_compute_thread(core: int | None) -> None:
    """For the thread that computes: bound to `core`, and with those that ggml starts for it, less urgent than I/O."""
    if sys.platform != "linux":  # elsewhere niceness is the whole process's
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, COMPUTE_NICENESS)
    if core is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(thread, {core})
