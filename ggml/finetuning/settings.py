"""What one run is: the numbers that a person gives, checked once."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ggml.core.errors import ArgumentError
from ggml.finetuning.decoder import LAYER_TARGETS

_MOST = 1 << 31


@dataclass(frozen=True, slots=True)
class Settings:
    """``alpha`` None is twice the rank; ``dropout`` is the probability by which an element that the small matrices read
    is zero; ``steps`` None is ``epochs`` times all examples.

    The rate rises from 0 over the first twentieth of the steps, then falls along a cosine to a tenth of
    ``learning_rate``.
    """

    rank: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] = LAYER_TARGETS
    learning_rate: float = 2e-4
    epochs: float = 1.0
    steps: int | None = None
    batch_size: int = 4
    sequence_length: int = 512
    seed: int = 0
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("rank", "batch_size", "sequence_length"):
            self._check(name, 1 <= getattr(self, name) < _MOST, "must be at least 1")
        self._check("steps", self.steps is None or 1 <= self.steps < _MOST, "must be at least 1")
        self._check("seed", 0 <= self.seed < 1 << 63, "must be from 0 to 2**63 - 1")
        for name in ("learning_rate", "epochs", "max_norm"):
            value = getattr(self, name)
            self._check(name, math.isfinite(value) and value > 0, "must be positive and finite")
        self._check("dropout", 0 <= self.dropout < 1, "must be at least 0 and less than 1")
        self._check("alpha", self.alpha is None or math.isfinite(self.alpha), "must be finite")

    def _check(self, name: str, is_good: bool, rule: str) -> None:
        if not is_good:
            option = {"rank": "lora-rank", "alpha": "lora-alpha", "dropout": "lora-dropout"}.get(
                name, name.replace("_", "-")
            )
            raise ArgumentError("finetune", f"--{option}", f"{rule}, not {getattr(self, name)}")

    def num_steps(self, steps_per_epoch: int) -> int:
        return self.steps if self.steps is not None else max(1, math.ceil(self.epochs * steps_per_epoch))

    def rate(self, step: int, num_steps: int) -> float:
        """Of step ``step``, from 0 on."""
        warm = max(1, num_steps // 20)
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        share = (step - warm) / max(1, num_steps - warm)
        return self.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "targets": list(self.targets)}
