"""The child of test_cores: computes with two threads as a stage does, and prints where each thread may run."""

from __future__ import annotations

import json
import os
import sys
import threading

import numpy as np

from cluster.stage.cores import bound_cores, prepare_compute_thread, prepare_process


def threads() -> dict[int, list[int]]:
    return {int(name): sorted(os.sched_getaffinity(int(name))) for name in os.listdir("/proc/self/task")}


def main(model: str, first_core: int, allowed: list[int]) -> None:
    os.sched_setaffinity(0, allowed)
    prepare_process()
    with bound_cores(first_core) as core:
        import worker_native

    found: dict[str, list[list[int]]] = {}

    def compute() -> None:
        prepare_compute_thread(core)
        opened = worker_native.Slice(model, n_ctx=32, n_slots=1, n_batch=4, n_ubatch=4, n_threads=2)
        before = threads()
        one = np.zeros(1, np.int32)
        opened.forward(one, one, one, np.ones(1, bool), None)
        now, own = threads(), threading.get_native_id()
        found["computing"] = [now.pop(own)]
        found["helping"] = [cores for thread, cores in now.items() if thread not in before]
        found["else"] = [cores for thread, cores in now.items() if thread in before]
        opened.close()

    thread = threading.Thread(target=compute)
    thread.start()
    thread.join()
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
