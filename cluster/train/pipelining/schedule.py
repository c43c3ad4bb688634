"""Schedule1F1B: one step of all stages over the microbatches of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ggml
from cluster.api.errors import UsageError
from cluster.train.pipelining.order import FORWARD, one_forward_one_backward
from cluster.train.pipelining.stage import PipelineStage, check_splittable


class Schedule1F1B:
    """Runs `stage` over `n_microbatches`: one forward, one backward in turn, once the stages behind have work.

    Gradients add up over the microbatches, and are divided by their number if `scale_grads`: with a loss that is a
    mean, they are those of the whole batch. Every rank then steps its own optimiser.
    """

    def __init__(
        self,
        stage: PipelineStage,
        n_microbatches: int,
        loss_fn: Callable[[ggml.Tensor, ggml.Tensor], ggml.Tensor],
        *,
        scale_grads: bool = True,
    ) -> None:
        if type(n_microbatches) is not int or n_microbatches < 1:
            raise UsageError(f"Schedule1F1B: n_microbatches {n_microbatches!r}; give 1 or more")
        self._stage, self._num_microbatches = stage, n_microbatches
        self._loss_fn, self._scale_grads = loss_fn, scale_grads

    def step(
        self, *args: ggml.Tensor, target: ggml.Tensor | None = None, losses: list[ggml.Tensor] | None = None
    ) -> ggml.Tensor | None:
        """One step: the first stage is given the batch [B, ...], the last one `target` [B, ...]; others nothing.

        On the last stage the loss of each microbatch is put into `losses`, and the outputs [B, ...] are returned; None
        on others. UsageError for a batch that cannot be cut, UnreachableError where another rank is gone.
        """
        inputs, targets = self._cut(args, target)
        outputs: list[ggml.Tensor] = []
        found: list[ggml.Tensor] = []
        scale = self._num_microbatches if self._scale_grads else 1
        stage = self._stage
        try:
            order = one_forward_one_backward(stage.stage_index, stage.num_stages, self._num_microbatches)
            for what, number in order:
                if what == FORWARD:
                    output = stage.forward(number, inputs[number] if inputs else None)
                    if targets:
                        outputs.append(output)
                        found.append(self._loss_fn(output, targets[number]))
                else:
                    stage.backward(number, found[number] / scale if targets else None)
        finally:
            stage.forget()
        if not targets:
            return None
        if losses is not None:
            losses[:] = [one.detach() for one in found]
        return ggml.cat([one.detach() for one in outputs])

    def _cut(self, args: tuple[Any, ...], target: Any) -> tuple[list[ggml.Tensor], list[ggml.Tensor]]:
        """The batch and the targets by microbatch, where this stage has to have them."""
        if len(args) != self._stage.is_first:
            raise UsageError("Schedule1F1B: the first stage is given one batch, other stages none")
        if (target is not None) != self._stage.is_last:
            raise UsageError("Schedule1F1B: the last stage is given target, other stages none")
        for what, one in (("a batch", args[0] if args else None), ("a target", target)):
            if one is not None:
                check_splittable(what, one, self._num_microbatches)
        inputs = list(args[0].chunk(self._num_microbatches)) if args else []
        return inputs, list(target.chunk(self._num_microbatches)) if target is not None else []
