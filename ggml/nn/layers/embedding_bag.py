"""Rows of a weight, by number, put together in bags."""

from __future__ import annotations

from typing import Self

from ggml.core.dtypes import DType
from ggml.core.errors import ShapeMismatchError
from ggml.nn import functional
from ggml.nn.layers.embedding import Embedding
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place
from ggml.tensors.tensor import Tensor

__all__ = ["EmbeddingBag"]


class EmbeddingBag(Module):
    """``functional.embedding_bag`` with a weight [num_embeddings, embedding_dim], which may be quantised."""

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        rows = Embedding(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq,
                         sparse, _weight, False, device, dtype)  # fmt: skip
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.padding_idx = scale_grad_by_freq, rows.padding_idx
        self.weight, self.mode = rows.weight, mode
        self.sparse, self.include_last_offset = sparse, include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return functional.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            mode=self.mode,
            scale_grad_by_freq=self.scale_grad_by_freq,
            sparse=self.sparse,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """A bag over this weight [num, dim], in its own dtype."""
        if not isinstance(embeddings, Tensor) or embeddings.ndim != 2:
            raise ShapeMismatchError("from_pretrained", "a weight with two axes", getattr(embeddings, "shape", None))
        rows, width = embeddings.shape
        bag = cls(rows, width, max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings,
                  include_last_offset, padding_idx)  # fmt: skip
        bag.weight.requires_grad = not freeze
        return bag

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += "" if self.max_norm is None else f", max_norm={self.max_norm}"
        text += "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        text += "" if not self.scale_grad_by_freq else ", scale_grad_by_freq=True"
        text += f", mode={self.mode!r}"
        return text + ("" if self.padding_idx is None else f", padding_idx={self.padding_idx}")
