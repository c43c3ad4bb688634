"""Workers that train one model together: torch.distributed's names over rings of gRPC streams.

`cluster train script.py --workers N` starts the script once in each worker; what it says there:

    from cluster import train

    train.init_process_group()
    model = train.DistributedDataParallel(model)

Run by itself, without `cluster train`, the same script is the only worker.
"""

from __future__ import annotations

from cluster.train import checkpoint
from cluster.train.clip_grad import clip_grad_norm_
from cluster.train.data_parallel import DistributedDataParallel
from cluster.train.default_group import (
    all_gather,
    all_reduce,
    barrier,
    broadcast,
    destroy_process_group,
    get_rank,
    get_world_size,
    init_process_group,
    is_initialized,
    recv,
    reduce_scatter,
    send,
)
from cluster.train.pipelining import PipelineStage, Schedule1F1B
from cluster.train.sharded_unit import fully_shard
from cluster.train.state_dict import get_model_state_dict, set_model_state_dict
from cluster.train.zero_redundancy_optimizer import ZeroRedundancyOptimizer

__all__ = [
    "DistributedDataParallel",
    "PipelineStage",
    "Schedule1F1B",
    "ZeroRedundancyOptimizer",
    "all_gather",
    "all_reduce",
    "barrier",
    "broadcast",
    "checkpoint",
    "clip_grad_norm_",
    "destroy_process_group",
    "fully_shard",
    "get_model_state_dict",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_initialized",
    "recv",
    "reduce_scatter",
    "send",
    "set_model_state_dict",
]
