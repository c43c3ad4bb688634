"""PipelineStage: the layers of one rank, and what is on its way through them."""

from __future__ import annotations

from typing import Any

import ggml
from cluster.api.errors import UsageError
from cluster.train.default_group import the_group
from cluster.train.messages import receive_tensor, send_tensor
from ggml import nn


class PipelineStage:
    """The part `submodule` of a model, on the rank that has the number of the stage.

    Stages pass one floating tensor [B, ...] each, of any shape. A stage keeps its input and output of each microbatch
    under way, and computes its forward again in backward, as ggml does where a result is read before `backward`.
    """

    def __init__(self, submodule: nn.Module, stage_index: int, num_stages: int, group: Any = None) -> None:
        """`group`: the ranks that are the stages, None for all. UsageError unless they are as many, and this one is
        `stage_index`."""
        group = self._group = the_group("PipelineStage", group)
        if (stage_index, num_stages) != (group.rank, group.world_size):
            raise UsageError(
                f"PipelineStage: stage {stage_index} of {num_stages} on rank {group.rank} of {group.world_size}; each "
                "rank has the stage of its number"
            )
        self.submodule = submodule
        self.stage_index, self.num_stages = stage_index, num_stages
        self._under_way: dict[int, tuple[ggml.Tensor, ggml.Tensor]] = {}

    @property
    def is_first(self) -> bool:
        return self.stage_index == 0

    @property
    def is_last(self) -> bool:
        return self.stage_index == self.num_stages - 1

    def forward(self, number: int, inputs: ggml.Tensor | None) -> ggml.Tensor:
        """Microbatch `number`: of `inputs` on the first stage, else of what comes from the stage before."""
        if inputs is None:
            inputs = receive_tensor(self._group, self.stage_index - 1).requires_grad_()
        output = self.submodule(inputs)
        if not isinstance(output, ggml.Tensor) or not output.dtype.is_floating_point:
            raise UsageError(
                f"PipelineStage: stage {self.stage_index} made {type(output).__name__}; a stage passes one floating "
                "tensor on"
            )
        self._under_way[number] = inputs, output
        if not self.is_last:
            send_tensor(self._group, output, self.stage_index + 1)
        return output

    def backward(self, number: int, loss: ggml.Tensor | None) -> None:
        """From `loss` on the last stage, else from the gradient that the stage behind sends."""
        inputs, output = self._under_way.pop(number)
        if loss is not None:
            loss.backward()
        else:
            gradient = receive_tensor(self._group, self.stage_index + 1)
            if tuple(gradient.shape) != tuple(output.shape):
                raise UsageError(
                    f"PipelineStage: a gradient {tuple(gradient.shape)} came for an output {tuple(output.shape)}"
                )
            if output.requires_grad:
                output.backward(gradient.to(output.dtype))
        if not self.is_first:
            grown = inputs.grad if inputs.grad is not None else ggml.zeros_like(inputs)
            send_tensor(self._group, grown, self.stage_index - 1)

    def forget(self) -> None:
        """Let go of microbatches under way, after a failure."""
        self._under_way.clear()


def check_splittable(what: str, tensor: Any, num_parts: int) -> None:
    """UsageError unless a batch can be cut into equal microbatches."""
    if not isinstance(tensor, ggml.Tensor) or tensor.dim() == 0 or tensor.shape[0] % num_parts:
        shape = tuple(tensor.shape) if isinstance(tensor, ggml.Tensor) else type(tensor).__name__
        raise UsageError(f"Schedule1F1B: {what} {shape} cannot be cut into {num_parts} equal microbatches; pad it")
