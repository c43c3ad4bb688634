"""Layers that keep running statistics of each channel (axis 1)."""

from __future__ import annotations

from ggml.core import dtypes, tracing
from ggml.core.dtypes import DType
from ggml.core.errors import ShapeMismatchError
from ggml.graph import executor
from ggml.nn import functional
from ggml.nn.layers.affine import Affine
from ggml.nn.parameter import point_to
from ggml.ops.create.factories import Place, empty, ones, scalar_tensor, zeros
from ggml.tensors.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _ChannelNorm(Affine):
    """What the layers have in common: weight, bias and running statistics, each None where it is not wanted."""

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _ranks: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Place,
        dtype: DType | None,
        bias: bool,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._register_affine(num_features, affine, affine and bias, device, dtype)
        for name in ("running_mean", "running_var"):
            kept = empty(num_features, device=device, dtype=dtype) if track_running_stats else None
            self.register_buffer(name, kept)
        counter = scalar_tensor(0, dtype=dtypes.int64, device=device) if track_running_stats else None
        self.register_buffer("num_batches_tracked", counter)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batches."""
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            on, dtype = self.running_mean.device, self.running_mean.dtype
            point_to(self.running_mean, zeros(self.num_features, device=on, dtype=dtype))
            point_to(self.running_var, ones(self.num_features, device=on, dtype=dtype))
            point_to(self.num_batches_tracked, scalar_tensor(0, device=on, dtype=dtypes.int64))

    def reset_parameters(self) -> None:
        """As new: weight 1, bias 0, and no statistics."""
        self.reset_running_stats()
        super().reset_parameters()

    def _need_rank(self, input: Tensor) -> None:
        if not isinstance(input, Tensor) or input.ndim not in self._ranks:
            ranks = " or ".join(str(rank) for rank in self._ranks)
            found = tuple(input.shape) if isinstance(input, Tensor) else type(input).__name__
            raise ShapeMismatchError(type(self).__name__, f"{ranks} axes", found)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Place = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def _counted(self) -> float:
        """By how much the running statistics move: ``momentum``, or with None the mean over all batches."""
        if not (self.training and self.track_running_stats) or self.num_batches_tracked is None:
            return 0.0 if self.momentum is None else self.momentum
        if tracing.changes() is None or self.momentum is None:  # its value is needed here and now
            tracing.refuse(type(self).__name__)
        self.num_batches_tracked.add_(1)
        if not tracing.is_active():
            executor.compute([self.num_batches_tracked._node])
        return 1.0 / self.num_batches_tracked.item() if self.momentum is None else self.momentum

    def forward(self, input: Tensor) -> Tensor:
        self._need_rank(input)
        momentum = self._counted()
        is_tracked = not self.training or self.track_running_stats
        from_batch = self.training or (self.running_mean is None and self.running_var is None)
        mean, variance = (self.running_mean, self.running_var) if is_tracked else (None, None)
        return functional.batch_norm(input, mean, variance, self.weight, self.bias, from_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """[N, C] or [N, C, L]: mean 0 and variance 1 for each channel, by the batch while training (then it keeps
    running statistics, in place), else by the running statistics. Training is compiled by ``compile_step`` only."""

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """As ``BatchNorm1d``, of [N, C, H, W]."""

    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """As ``BatchNorm1d``, of [N, C, D, H, W]."""

    _ranks = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Place = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._need_rank(input)
        is_batched = input.ndim == max(self._ranks)
        x = input if is_batched else input.unsqueeze(0)
        if self.affine and x.shape[1] != self.num_features:
            raise ShapeMismatchError(type(self).__name__, f"{self.num_features} channels", tuple(input.shape))
        use_input_stats = self.training or not self.track_running_stats
        result = functional.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, use_input_stats,
            0.0 if self.momentum is None else self.momentum, self.eps,
        )  # fmt: skip
        return result if is_batched else result.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """[N, C, L] or [C, L]: mean 0 and variance 1 for each channel of each item."""

    _ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """[N, C, H, W] or [C, H, W]: mean 0 and variance 1 for each channel of each item."""

    _ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """[N, C, D, H, W] or [C, D, H, W]: mean 0 and variance 1 for each channel of each item."""

    _ranks = (4, 5)
