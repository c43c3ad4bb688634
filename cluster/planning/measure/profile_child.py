"""The child process of `profile`: loads a model, waits for the word, times steps and draws."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from cluster.node.child import answer, die_with_parent

if TYPE_CHECKING:
    from worker_native import Slice

NUM_TIMED = 5
NUM_WARM_UPS = 2
CONTEXT_LENGTH = 64


def main() -> int:
    die_with_parent()
    orders = json.loads(sys.stdin.readline())
    try:
        loaded = _load(orders)
        answer({"ready": True})
        sys.stdin.readline()
        step_s = [_step_s(loaded, num_rows) for num_rows in orders["row_counts"]]
        answer({"step_s": step_s, "sample_s_per_logit": _sample_s_per_logit(loaded)})
    except (ValueError, RuntimeError, MemoryError) as error:
        answer({"error": str(error)})
        return 1
    return 0


def _load(orders: dict[str, Any]) -> Slice:
    from worker_native import Slice

    loaded = Slice(
        orders["path"],
        device=orders["device"],
        n_ctx=CONTEXT_LENGTH,
        n_slots=1,
        n_batch=CONTEXT_LENGTH,
        n_ubatch=CONTEXT_LENGTH,
        n_threads=orders["num_threads"],
        use_extra_bufts=orders["use_extra_bufts"],
    )
    for _ in range(NUM_WARM_UPS):
        _step(loaded, 1)
    return loaded


def _step(loaded: Slice, num_rows: int) -> float:
    """Seconds of a step from an empty slot, logits of all rows."""
    import numpy as np

    tokens = np.arange(num_rows, dtype=np.int32) + 300
    loaded.prepare_slot(0, 0, 0)
    start_s = time.perf_counter()
    loaded.forward(
        tokens, np.arange(num_rows, dtype=np.int32), np.zeros(num_rows, np.int32), np.ones(num_rows, np.bool_)
    )
    return time.perf_counter() - start_s


def _step_s(loaded: Slice, num_rows: int) -> float:
    # The least: whatever else the machine does only adds to it.
    return min(_step(loaded, num_rows) for _ in range(NUM_TIMED))


def _sample_s_per_logit(loaded: Slice) -> float:
    """As a request with the default parameters draws."""
    import numpy as np

    from cluster.api.sampling import SamplingParams
    from cluster.stage.models.sampler import native_params
    from worker_native import Sampler

    params = native_params(SamplingParams(seed=0))
    num_rows = 8
    _step(loaded, num_rows)
    sampler = Sampler(vocab_size=loaded.vocab_size, n_slots=1, n_ctx=loaded.n_ctx)
    sampler.set(0, params)
    positions = np.arange(num_rows, dtype=np.int32)
    sampler.keep(positions + 300, positions, np.zeros(num_rows, np.int32))
    rows, slots = list(range(num_rows)), [0] * num_rows
    times = []
    for _ in range(NUM_TIMED):
        start_s = time.perf_counter()
        sampler.sample(loaded.wanted_logits(), rows, slots, rows)
        times.append(time.perf_counter() - start_s)
    return min(times) / num_rows / loaded.vocab_size


if __name__ == "__main__":
    sys.exit(main())
