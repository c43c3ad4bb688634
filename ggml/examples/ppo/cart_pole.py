"""A pole on a cart, many of them side by side.

The equations and the bounds are those of Barto, Sutton, Anderson, "Neuronlike adaptive elements that can solve
difficult learning control problems" (1983), which Gym's CartPole has, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_GRAVITY, _CART_KG, _POLE_KG, _HALF_POLE_M, _PUSH_N, _STEP_S = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
_MAX_PLACE_M, _MAX_ANGLE = 2.4, 12 * np.pi / 180


class CartPoles:
    """``count`` of them. What is seen of each is [place, speed, angle, turn] in metres, radians and seconds."""

    def __init__(self, count: int, rng: np.random.Generator, max_steps: int = 500) -> None:
        self.max_steps, self._rng = max_steps, rng
        self.states = self._first(count)
        self.lengths = np.zeros(count, np.int64)  # steps of the episode so far

    def _first(self, count: int) -> NDArray[np.float64]:
        return self._rng.uniform(-0.05, 0.05, (count, 4))

    def seen(self) -> Floats:
        """float32 [count, 4]."""
        return self.states.astype(np.float32)

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats, list[int]]:
        """Push each to the left (0) or to the right (1); every step is worth 1.

        Returns which have fallen, which were stopped after ``max_steps``, what was last seen of each, [count, 4], and
        the lengths of the episodes that ended. Those begin anew.
        """
        _, speed, angle, turn = self.states.T
        total = _CART_KG + _POLE_KG
        push = np.where(actions == 1, _PUSH_N, -_PUSH_N)
        common = (push + _POLE_KG * _HALF_POLE_M * turn**2 * np.sin(angle)) / total
        turning = (_GRAVITY * np.sin(angle) - np.cos(angle) * common) / (
            _HALF_POLE_M * (4 / 3 - _POLE_KG * np.cos(angle) ** 2 / total)
        )
        moving = common - _POLE_KG * _HALF_POLE_M * turning * np.cos(angle) / total
        self.states = self.states + _STEP_S * np.stack([speed, moving, turn, turning], 1)
        self.lengths += 1
        fallen = (np.abs(self.states[:, 0]) > _MAX_PLACE_M) | (np.abs(self.states[:, 2]) > _MAX_ANGLE)
        stopped = ~fallen & (self.lengths >= self.max_steps)
        last, ended = self.seen(), fallen | stopped
        lengths = self.lengths[ended].tolist()
        self.states[ended] = self._first(int(ended.sum()))
        self.lengths[ended] = 0
        return fallen, stopped, last, lengths
