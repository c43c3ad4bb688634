"""Layers that weigh windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ggml.core.dtypes import DType
from ggml.core.errors import ArgumentError, ShapeMismatchError
from ggml.nn import functional, init
from ggml.nn.module.module import Module
from ggml.nn.parameter import Parameter
from ggml.ops.create.factories import Place, empty
from ggml.ops.spatial.axes import Extents, extents
from ggml.registry.arguments import integer
from ggml.tensors.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Windows(Module):
    """What all of them have: a weight with the window's extents behind two axes of channels, and perhaps a bias."""

    rank: int
    transposed = False

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        channels: tuple[int, int],
        kernel_size: Extents,
        stride: Extents,
        padding: Extents | str,
        dilation: Extents,
        output_padding: Extents,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Place,
        dtype: DType | None,
    ) -> None:
        super().__init__()
        name, rank = type(self).__name__, self.rank
        self.in_channels, self.out_channels = (integer(name, one, "channels") for one in channels)
        self.groups = integer(name, groups, "groups")
        if min(*channels, groups) < 1 or any(one % groups for one in channels):
            raise ArgumentError(name, "channels", f"must be multiples of the {groups} groups: {channels}")
        self.kernel_size = extents(name, kernel_size, "kernel_size", rank)
        self.stride, self.dilation = extents(name, stride, "stride", rank), extents(name, dilation, "dilation", rank)
        self.padding = self._padding(padding)
        self.output_padding = extents(name, output_padding, "output_padding", rank, low=0)
        if padding_mode not in (("zeros",) if self.transposed else _PADDING_MODES):
            raise ArgumentError(name, "padding_mode", f"is not known here: {padding_mode!r}")
        self.padding_mode = padding_mode
        ends = channels[::-1] if not self.transposed else channels
        shape = (ends[0], ends[1] // groups, *self.kernel_size)
        self.weight = Parameter(empty(*shape, device=device, dtype=dtype))
        extra = Parameter(empty(channels[1], device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", extra)
        self.reset_parameters()

    def _padding(self, padding: Extents | str) -> tuple[int, ...] | str:
        name = type(self).__name__
        if not isinstance(padding, str):
            return extents(name, padding, "padding", self.rank, low=0)
        if padding not in ("same", "valid") or self.transposed:
            raise ArgumentError(name, "padding", f"must be integers, 'same' or 'valid', not {padding!r}")
        if padding == "same" and any(step != 1 for step in self.stride):
            raise ArgumentError(name, "padding", "'same' is for a stride of 1 only")
        return padding

    def reset_parameters(self) -> None:
        """Uniform between plus and minus one over the root of the elements that one output weighs."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        parts += [f"padding={self.padding}"] if self.padding != zeros else []
        parts += [f"dilation={self.dilation}"] if self.dilation != ones else []
        parts += [f"output_padding={self.output_padding}"] if self.output_padding != zeros else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _Convolution(_Windows):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Extents,
        stride: Extents = 1,
        padding: Extents | str = 0,
        dilation: Extents = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        channels = (in_channels, out_channels)
        super().__init__(channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device, dtype)

    def _sides(self) -> list[int]:
        """The padding as ``functional.pad`` takes it: the last axis first."""
        sides: list[int] = []
        for at in range(self.rank - 1, -1, -1):
            if isinstance(self.padding, str):
                total = self.dilation[at] * (self.kernel_size[at] - 1) if self.padding == "same" else 0
                sides += [total // 2, total - total // 2]
            else:
                sides += [self.padding[at]] * 2
        return sides

    def forward(self, input: Tensor) -> Tensor:
        convolve = getattr(functional, f"conv{self.rank}d")
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = functional.pad(input, self._sides(), mode=self.padding_mode), 0
        result: Tensor = convolve(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return result


class Conv1d(_Convolution):
    """Windows over the last axis of [N, C, L] or [C, L], weighted and summed; see ``functional.conv1d``."""

    rank = 1


class Conv2d(_Convolution):
    """Windows over the last two axes of [N, C, H, W] or [C, H, W]; see ``functional.conv2d``."""

    rank = 2


class Conv3d(_Convolution):
    """Windows over the last three axes of [N, C, D, H, W] or [C, D, H, W]; see ``functional.conv3d``."""

    rank = 3


class _Transposed(_Windows):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Extents,
        stride: Extents = 1,
        padding: Extents = 0,
        output_padding: Extents = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Extents = 1,
        padding_mode: str = "zeros",
        device: Place = None,
        dtype: DType | None = None,
    ) -> None:
        channels = (in_channels, out_channels)
        super().__init__(
            channels, kernel_size, stride, padding, dilation, output_padding, groups, bias, padding_mode, device, dtype
        )

    def _missing(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that leads to ``output_size``, which names the spatial extents or the whole shape."""
        name, rank = type(self).__name__, self.rank
        wanted = [integer(name, one, "output_size") for one in output_size]
        wanted = wanted[-rank:] if len(wanted) == input.ndim else wanted
        if len(wanted) != rank or input.ndim not in (rank + 1, rank + 2):
            raise ShapeMismatchError(name, f"an output_size of {rank} or {rank + 2} extents", tuple(output_size))
        assert not isinstance(self.padding, str)
        missing = []
        for at, extent in enumerate(wanted):
            reach = self.dilation[at] * (self.kernel_size[at] - 1) + 1
            least = (input.shape[at - rank] - 1) * self.stride[at] - 2 * self.padding[at] + reach
            if not least <= extent < least + self.stride[at]:
                rule = f"an extent in [{least}, {least + self.stride[at]}) for axis {at}"
                raise ShapeMismatchError(name, rule, tuple(output_size))
            missing.append(extent - least)
        return tuple(missing)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        more = self.output_padding if output_size is None else self._missing(input, output_size)
        spread = getattr(functional, f"conv_transpose{self.rank}d")
        result: Tensor = spread(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )
        return result


class ConvTranspose1d(_Transposed):
    """Each element spread over a window of the last axis; see ``functional.conv_transpose1d``."""

    rank = 1


class ConvTranspose2d(_Transposed):
    """Each element spread over a window of the last two axes; see ``functional.conv_transpose2d``."""

    rank = 2


class ConvTranspose3d(_Transposed):
    """Each element spread over a window of the last three axes; see ``functional.conv_transpose3d``."""

    rank = 3
