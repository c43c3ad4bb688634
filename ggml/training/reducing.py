"""What a step asks of a model whose gradients come together from several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ggml.core.errors import TracingError
from ggml.nn.module.module import Module
from ggml.tensors.tensor import Tensor


class Reduction(Protocol):
    """The gradients of one step on their way. It is finished or abandoned."""

    @property
    def is_early(self) -> bool:
        """Whether gradients are to be put while others are computed."""

    def has(self, parameter: Tensor) -> bool:
        """Whether the gradient of this parameter takes part."""

    def put(self, parameter: Tensor, raw: bytes | memoryview) -> None:
        """A gradient in float32, which may be looked at during this call. Others are still computed."""

    def offer(self, parameter: Tensor, gradient: Tensor | None) -> None:
        """A gradient, if it was not put."""

    def finish(self) -> Sequence[tuple[Tensor, Tensor | None]]:
        """What has become of them, by parameter; waits for it."""

    def abandon(self) -> None:
        """The step has failed."""


class Reducer(Protocol):
    """A module that does so, such as `cluster.train.DistributedDataParallel`."""

    def begin_reduction(self) -> Reduction | None:
        """For the next step; None where there is nobody else."""


def reducer_of(modules: Sequence[Module]) -> Reducer | None:
    """The one of these modules that reduces. TracingError if several do."""
    found: list[Any] = [one for one in modules if hasattr(type(one), "begin_reduction")]
    if len(found) > 1:
        raise TracingError(
            "compile_step", f"{len(found)} modules average their gradients; wrap the whole model once, or use the loop"
        )
    return found[0] if found else None
