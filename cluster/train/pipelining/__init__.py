"""Pipelines: each rank has some layers of one model, and microbatches pass through; torch.distributed.pipelining's.

stage = PipelineStage(layers[rank], rank, world_size)
schedule = Schedule1F1B(stage, n_microbatches=8, loss_fn=nn.functional.cross_entropy)
"""

from __future__ import annotations

from cluster.train.pipelining.schedule import Schedule1F1B
from cluster.train.pipelining.stage import PipelineStage

__all__ = ["PipelineStage", "Schedule1F1B"]
