"""Embeddings: vectors that stand for texts, and how one is made of the rows of a text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.api.errors import UsageError


class Pooling(StrEnum):
    """How one row is made of all rows of a text, as they are behind the model's last norm."""

    MEAN = "mean"  # of all rows
    CLS = "cls"  # the first row
    LAST = "last"  # the last row
    RANK = "rank"  # scores, by the model's own head: of models that are made for it, and of no others

    @classmethod
    def of_file(cls, number: int) -> Pooling | None:
        """What a GGUF's {architecture}.pooling_type says; None of a model that is not made for embeddings."""
        return {1: cls.MEAN, 2: cls.CLS, 3: cls.LAST, 4: cls.RANK}.get(number)

    @classmethod
    def checked(cls, given: Any) -> Pooling | None:
        """What a caller asks for, by name; None: what the model says. UsageError for anything else."""
        names = [one.value for one in cls if one is not cls.RANK]
        if given is None or given in names:
            return None if given is None else cls(given)
        raise UsageError(f"pooling: {given!r} is unknown; give one of {', '.join(names)}")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of some texts. Set by the client.

    Attributes:
        vectors: [N, E] float32, one for each text, in order.
        num_prompt_tokens: how many tokens each text has.
    """

    vectors: NDArray[np.float32]
    num_prompt_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well some documents answer a query. Set by the client.

    Attributes:
        scores: [N] float32, one for each document, in order; a higher one is better.
        num_prompt_tokens: how many tokens each of them has, with the query.
    """

    scores: NDArray[np.float32]
    num_prompt_tokens: tuple[int, ...]


def shaped(vectors: NDArray[np.float32], dimensions: int | None, normalize: bool) -> NDArray[np.float32]:
    """The first `dimensions` numbers of each of `vectors` [N, E], of length 1 if `normalize`.

    Fewer dimensions mean something of models that were trained for it. A vector of zeros stays one.
    UsageError for more dimensions than there are, or none.
    """
    width = vectors.shape[1]
    if dimensions is not None:
        if isinstance(dimensions, bool) or not isinstance(dimensions, int) or not 1 <= dimensions <= width:
            raise UsageError(f"dimensions: {dimensions!r}; the model's vectors have {width}; give 1 to {width}")
        vectors = vectors[:, :dimensions]
    if not normalize:
        return vectors
    lengths = np.sqrt(np.sum(np.square(vectors, dtype=np.float64), axis=1, keepdims=True))
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
