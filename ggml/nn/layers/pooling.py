"""Layers that make one value of each window."""

from __future__ import annotations

from typing import Any

from ggml.nn import functional
from ggml.nn.module.module import Module
from ggml.ops.spatial.axes import Extents, extents
from ggml.tensors.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
]


class _Pool(Module):
    rank: int
    kind: str

    def _pool(self, input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return getattr(functional, f"{self.kind}_pool{self.rank}d")(input, *args, **kwargs)


class _MaxPool(_Pool):
    kind = "max"

    def __init__(
        self,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        dilation: Extents = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        places = (self.kernel_size, self.stride, self.padding, self.dilation)
        return self._pool(input, *places, ceil_mode=self.ceil_mode, return_indices=self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of windows over the last axis; see ``functional.max_pool1d``."""

    rank = 1


class MaxPool2d(_MaxPool):
    """The largest element of windows over the last two axes; see ``functional.max_pool2d``."""

    rank = 2


class MaxPool3d(_MaxPool):
    """The largest element of windows over the last three axes; see ``functional.max_pool3d``."""

    rank = 3


class _AvgPool(_Pool):
    kind = "avg"

    def __init__(
        self,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        places = (self.kernel_size, self.stride, self.padding)
        result: Tensor = self._pool(input, *places, self.ceil_mode, self.count_include_pad, **self._divisor())
        return result

    def _divisor(self) -> dict[str, Any]:
        return {}

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of windows over the last axis; see ``functional.avg_pool1d``."""

    rank = 1

    def __init__(
        self,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        kernel = extents("AvgPool1d", kernel_size, "kernel_size", 1)
        steps = None if stride is None else extents("AvgPool1d", stride, "stride", 1)
        edge = extents("AvgPool1d", padding, "padding", 1, low=0)
        super().__init__(kernel, steps, edge, ceil_mode, count_include_pad)


class _DividedPool(_AvgPool):
    def __init__(
        self,
        kernel_size: Extents,
        stride: Extents | None = None,
        padding: Extents = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def _divisor(self) -> dict[str, Any]:
        return {"divisor_override": self.divisor_override}


class AvgPool2d(_DividedPool):
    """The mean of windows over the last two axes; see ``functional.avg_pool2d``."""

    rank = 2


class AvgPool3d(_DividedPool):
    """The mean of windows over the last three axes; see ``functional.avg_pool3d``."""

    rank = 3


class _LPPool(_Pool):
    kind = "lp"

    def __init__(
        self, norm_type: float, kernel_size: Extents, stride: Extents | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        places = (float(self.norm_type), self.kernel_size, self.stride)
        result: Tensor = self._pool(input, *places, self.ceil_mode)
        return result

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """The norm of windows over the last axis; see ``functional.lp_pool1d``."""

    rank = 1


class LPPool2d(_LPPool):
    """The norm of windows over the last two axes; see ``functional.lp_pool2d``."""

    rank = 2


class LPPool3d(_LPPool):
    """The norm of windows over the last three axes; see ``functional.lp_pool3d``."""

    rank = 3


class _AdaptiveAvgPool(_Pool):
    kind = "adaptive_avg"

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        result: Tensor = self._pool(input, self.output_size)
        return result

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The last axis brought to ``output_size`` by means."""

    rank = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The last two axes brought to ``output_size`` by means; None keeps an extent."""

    rank = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The last three axes brought to ``output_size`` by means; None keeps an extent."""

    rank = 3


class _AdaptiveMaxPool(_Pool):
    kind = "adaptive_max"

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        return self._pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The last axis brought to ``output_size`` by the largest elements."""

    rank = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The last two axes brought to ``output_size`` by the largest elements; None keeps an extent."""

    rank = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The last three axes brought to ``output_size`` by the largest elements; None keeps an extent."""

    rank = 3
