"""Whether a device's graphs are kept from step to step, what that gains, and what steps of changing sizes cost."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

from tests.gpu.kit.case import Case
from tests.gpu.kit.finding import Tell, figure, not_run
from tests.gpu.kit.settings import Settings

if TYPE_CHECKING:
    from worker_native import Slice

NUM_SLOTS = 8
# The rows of the steps. In buckets, fewer rows than 8 are computed as 8, so that all steps have one shape.
PATTERNS: dict[str, tuple[int, ...]] = {
    "always 1 row": (1,),
    "always 8 rows": (8,),
    "7 and 8 rows in turn": (7, 8),
    "5 to 8 rows in turn": (5, 6, 7, 8),
}
BUCKETS = "5 to 8 rows in turn, in buckets of 8"
RESULT = "graphs.json"


def cases(settings: Settings) -> list[Case]:
    return [Case("kept", partial(_time_steps, True), 45.0), Case("disabled", partial(_time_steps, False), 45.0)]


def _time_steps(is_kept: bool, settings: Settings, tell: Tell) -> None:
    """Milliseconds of a step of each pattern; the second process tells what the first one gained."""
    if not is_kept:
        os.environ["GGML_CUDA_DISABLE_GRAPHS"] = "1"  # read when the library is loaded
    from contextlib import closing

    from tests.gpu.kit.models import random_model
    from worker_native import Slice

    model = random_model(settings.scratch, "tiny:Q4_K" if settings.is_tiny else "1b:Q4_K")
    num_steps = 6 if settings.is_tiny else 96
    options = {"n_ctx": 1024, "n_slots": NUM_SLOTS, "n_batch": 32, "n_ubatch": 32, "n_threads": 1}
    found: dict[str, float] = {}
    with closing(Slice(str(model), device=settings.device, **options)) as whole:  # type: ignore[arg-type]
        for name, pattern in PATTERNS.items():
            found[name] = _step_ms(whole, pattern, num_steps)
        whole.set_row_sizes([1, 2, 3, 4, 8, 8, 8, 8])
        found[BUCKETS] = _step_ms(whole, PATTERNS["5 to 8 rows in turn"], num_steps)
    _tell(is_kept, found, settings, tell)


def _tell(is_kept: bool, found: dict[str, float], settings: Settings, tell: Tell) -> None:
    path = settings.scratch / RESULT
    if is_kept:
        path.write_text(json.dumps(found))
    before = json.loads(path.read_text()) if path.exists() else {}
    if not is_kept and not before:
        tell(not_run("gain", "the case that keeps graphs has no figures"))
    for name, step_ms in found.items():
        gain = {} if is_kept or name not in before else {"kept_ms": before[name], "gain": step_ms / before[name]}
        tell(figure(name, step_ms=step_ms, **gain))


def _step_ms(whole: Slice, pattern: Sequence[int], num_steps: int) -> float:
    """The median of `num_steps` steps whose rows follow the pattern, after a third as many to warm up."""
    for slot in range(NUM_SLOTS):
        whole.prepare_slot(slot, slot, 0)
    times = list(_times_s(whole, islice(cycle(pattern), num_steps + num_steps // 3)))
    return 1e3 * statistics.median(times[num_steps // 3 :])


def _times_s(whole: Slice, counts: Iterator[int]) -> Iterator[float]:
    import numpy as np

    lengths = np.zeros(NUM_SLOTS, np.int32)
    for count in counts:
        slots = np.arange(count, dtype=np.int32)
        start_s = time.perf_counter()
        whole.forward(slots + 300, lengths[:count].copy(), slots, np.ones(count, np.bool_))
        whole.logits([0])
        yield time.perf_counter() - start_s
        lengths[:count] += 1
