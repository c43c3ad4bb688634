"""Layers that change the shape only."""

from __future__ import annotations

from collections.abc import Sequence

from ggml.core.errors import DTypeError
from ggml.nn.module.module import Module
from ggml.tensors.tensor import Tensor

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """The axes from ``start_dim`` to ``end_dim`` as one; all but the batch by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis ``dim`` as several of the given extents, one of which may be -1."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if isinstance(dim, str) or not isinstance(unflattened_size, (tuple, list)):
            raise DTypeError(
                "Unflatten", "an integer and a tuple of extents; axes have no names", (dim, unflattened_size)
            )
        for extent in unflattened_size:
            if not isinstance(extent, int):
                raise DTypeError("Unflatten", "integers as extents", type(extent).__name__)
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, tuple(self.unflattened_size))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
