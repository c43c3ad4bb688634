"""As ``torch.random``: the generator that all random tensors are drawn from."""

from __future__ import annotations

from ggml.ops.create.random import Generator, default_generator, initial_seed, manual_seed, seed

__all__ = ["Generator", "default_generator", "initial_seed", "manual_seed", "seed"]
