"""The plain loop of either library, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ggml.training.nets import Batch


def loop(library: Any, model: Any, optimizer: Any, max_norm: float | None = None) -> Callable[..., Any]:
    """The plain loop of a batch."""

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = library.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        if max_norm is not None:
            library.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        return loss

    return step


def losses(library: Any, step: Callable[..., Any], batch: Callable[..., Batch], count: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [step(*[library.tensor(one) for one in batch(rng)]).item() for _ in range(count)]


def values(model: Any) -> dict[str, Any]:
    return {name: one.numpy().copy() for name, one in model.state_dict().items()}


def assert_same(mine: Any, other: Any) -> None:
    for name, value in values(mine).items():
        np.testing.assert_array_equal(value, values(other)[name], err_msg=name)
