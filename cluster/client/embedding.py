"""Puts the parts of an answer together: vectors of texts, in their order."""

from __future__ import annotations

import numpy as np

from cluster.api.embedding import Embeddings, shaped
from cluster.api.errors import UnreachableError, UsageError
from cluster.messages.step import Float32Array


class EmbeddingParts:
    """Collects the vectors of so many texts, and gives them the shape that was asked for."""

    def __init__(self, num_texts: int, normalize: bool, dimensions: int | None) -> None:
        self._num_texts = num_texts
        self._normalize = normalize
        self._dimensions = dimensions
        self._num_tokens: list[int] = []
        self._vectors: list[Float32Array] = []

    def reset(self) -> None:
        """Forget all of them."""
        self._num_tokens.clear()
        self._vectors.clear()

    def add(self, part: tuple[list[int], Float32Array]) -> None:
        """Those of the next texts; UsageError if they do not fit to those before."""
        num_tokens, vectors = part
        self._num_tokens += num_tokens
        self._vectors.append(vectors)
        if len(self._num_tokens) > self._num_texts or vectors.shape[1] != self._vectors[0].shape[1]:
            raise UsageError(
                f"embeddings: vectors {vectors.shape} for {self._num_texts} texts; run the same version on both ends"
            )

    def finish(self) -> Embeddings:
        """All of them. UnreachableError if some are missing; UsageError for dimensions that the model has not."""
        if len(self._num_tokens) < self._num_texts:
            raise UnreachableError(
                f"embeddings: the stream ended after {len(self._num_tokens)} of {self._num_texts} texts; ask again"
            )
        vectors = shaped(np.concatenate(self._vectors), self._dimensions, self._normalize)
        return Embeddings(vectors, tuple(self._num_tokens))
