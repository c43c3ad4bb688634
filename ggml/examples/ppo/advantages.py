"""How much better an action was than what the critic expected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def advantages(
    rewards: Floats, values: Floats, following: Floats, ended: NDArray[np.bool_], discount: float, smoothing: float
) -> Floats:
    """Generalised advantages [T, N]: Schulman et al., https://arxiv.org/abs/1506.02438, equation 16.

    ``values`` [T, N] are those of what was seen before each step, ``following`` [T, N] those of after it: 0 where the
    episode came to its own end, and the critic's where it was only stopped. ``ended`` [T, N] cuts the sum.
    """
    errors = rewards + discount * following - values
    found, behind = np.zeros_like(values), np.zeros(values.shape[1], np.float32)
    for t in reversed(range(len(values))):
        behind = errors[t] + discount * smoothing * np.where(ended[t], 0, behind).astype(np.float32)
        found[t] = behind
    return found
