"""Memory does not grow with the number of steps, whichever loop trains."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from tests.ggml.training.loops import loop
from tests.ggml.training.nets import conv_net, images

_STEPS, _EVERY = 2000, 100
_PAGE_BYTES = 4096


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.parametrize("kind", ["loop", "compiled"])
def test_memory_is_flat(kind: str) -> None:
    before = ggml.get_num_threads()
    ggml.set_num_threads(1)
    ggml.manual_seed(0)
    model = conv_net(ggml)
    optimizer = ggml.optim.AdamW(model.parameters(), lr=1e-3)
    step: Any = (
        loop(ggml, model, optimizer)
        if kind == "loop"
        else ggml.compile_step(model, ggml.nn.functional.cross_entropy, optimizer)
    )
    rng, seen = np.random.default_rng(0), []
    for number in range(_STEPS):
        step(*[ggml.tensor(one) for one in images(rng)]).item()
        if number % _EVERY == _EVERY - 1:
            gc.collect()
            seen.append(resident_bytes())
    ggml.set_num_threads(before)
    half = seen[len(seen) // 2 :]  # caches are full by then
    slope = np.polyfit(np.arange(len(half)) * _EVERY, half, 1)[0]
    assert slope < 512, f"{slope:.0f} bytes a step: {seen}"
