"""One recorded operation while it is written: its sources and parameters, at every size that was recorded."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.node import Shape
from ggml.onnx.sizes import Extent, Sizes


@dataclass(frozen=True, slots=True)
class Variant:
    """The operation at one size of the inputs."""

    params: tuple[Hashable, ...]
    shape: Shape
    inputs: tuple[Shape, ...]


class Step:
    """What a function of the table asks. ``inputs`` are names in the graph that is written."""

    def __init__(
        self, row: str, dtype: DType, inputs: list[str], dtypes: list[DType], variants: Sequence[Variant], sizes: Sizes
    ) -> None:
        self.row, self.dtype, self.inputs, self.dtypes = row, dtype, inputs, dtypes
        self.variants, self._sizes = variants, sizes

    @property
    def params(self) -> tuple[Any, ...]:
        """The parameters at the size of the example."""
        return self.variants[0].params

    @property
    def shape(self) -> Shape:
        """The shape of the result at the size of the example."""
        return self.variants[0].shape

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the sources at the size of the example."""
        return self.variants[0].inputs

    @property
    def has_one_form(self) -> bool:
        """Whether the parameters are the same at every size."""
        return all(one.params == self.params for one in self.variants)

    def extents(self, of: Callable[[Variant], Sequence[int]]) -> list[Extent]:
        """Numbers of the operation, each a constant or an expression of the inputs' extents."""
        rows = [tuple(of(one)) for one in self.variants]
        return [self._sizes.solve(self.row, column) for column in zip(*rows, strict=True)]

    def varying(self, of: Callable[[Variant], Sequence[int]]) -> list[bool]:
        """Which of these numbers differ between sizes."""
        rows = [tuple(of(one)) for one in self.variants]
        return [len(set(column)) > 1 for column in zip(*rows, strict=True)]

    def agrees(self, one: Callable[[Variant], int], other: Callable[[Variant], int]) -> bool:
        """Whether two numbers are the same at every size."""
        return all(one(variant) == other(variant) for variant in self.variants)

    @property
    def result(self) -> list[Extent]:
        """The extents of the result."""
        return self.extents(lambda one: one.shape)
