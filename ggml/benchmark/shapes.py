"""What is measured: which models, in which sizes, at which batches. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """The extents of a Llama. ``capacity`` is how many tokens its cache holds."""

    width: int
    inner: int
    num_layers: int
    num_heads: int
    num_groups: int
    vocabulary: int = 32000
    capacity: int = 640

    @property
    def head(self) -> int:
        """The width of a head."""
        return self.width // self.num_heads


LLAMAS = {
    "Llama 300M": LlamaShape(1024, 2816, 20, 16, 4),
    "Llama 1B": LlamaShape(2048, 8192, 16, 32, 8),
}

#: Tokens of a prompt, before the steps that are measured.
PROMPT = 512

#: The models that are compared with torch, and the inputs of one element of a batch.
IMAGE, TOKENS = (3, 224, 224), (128,)
MODELS = {"ResNet-50": IMAGE, "ViT-B/16": IMAGE, "BERT-base": TOKENS}
BATCHES = (1, 8)

#: Steps of one token in a round: a step alone is shorter than what disturbs it.
STEPS = 16


def example(name: str, batch: int) -> NDArray[Any]:
    """An input of a model that is compared with torch: an image for each element of the batch, or tokens."""
    rng = np.random.default_rng(0)
    if len(MODELS[name]) == 1:
        return rng.integers(0, 30000, (batch, *MODELS[name]))
    return rng.standard_normal((batch, *MODELS[name]), np.float32)
