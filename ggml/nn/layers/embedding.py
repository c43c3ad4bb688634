"""Rows of a weight, by number."""

from __future__ import annotations

from typing import Self

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.nn import functional, init
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place, empty
from ggml.registry.arguments import integer
from ggml.tensors.tensor import Tensor

__all__ = ["Embedding"]


class Embedding(Module):
    """Integers of any shape [...] become rows [..., embedding_dim] of the weight, which may be quantised.

    ``padding_idx`` names the row that starts as zeros. ``scale_grad_by_freq`` and ``sparse`` are about gradients
    and kept without effect. With ``max_norm`` the rows that are read are scaled in the weight first.
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = integer("Embedding", num_embeddings, "num_embeddings")
        self.embedding_dim = integer("Embedding", embedding_dim, "embedding_dim")
        if padding_idx is not None:
            padding_idx = integer("Embedding", padding_idx, "padding_idx")
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError("Embedding", "padding_idx", f"{padding_idx} is outside of {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            empty_weight = empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
            self.weight = Parameter(empty_weight, requires_grad=not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise ShapeMismatchError("Embedding", (num_embeddings, embedding_dim), tuple(_weight.shape))
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Normal, and zeros for the padding."""
        init.normal_(self.weight)
        if self.padding_idx is not None and self.embedding_dim:
            kept = self.weight.to("cpu").float().numpy().copy()
            kept[self.padding_idx] = 0
            init._fill("Embedding", self.weight, kept)

    def forward(self, input: Tensor) -> Tensor:
        return functional.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """An embedding over this weight [num, dim], in its own dtype."""
        if not isinstance(embeddings, Tensor) or embeddings.ndim != 2:
            raise ShapeMismatchError("from_pretrained", "a weight with two axes", getattr(embeddings, "shape", None))
        rows, width = embeddings.shape
        return cls(rows, width, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        text += "" if self.max_norm is None else f", max_norm={self.max_norm}"
        text += "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        text += "" if not self.scale_grad_by_freq else ", scale_grad_by_freq=True"
        return text + (", sparse=True" if self.sparse else "")
