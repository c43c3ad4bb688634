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
    destroy_process_group,
    get_rank,
    get_world_size,
    init_process_group,
    is_initialized,
)
from cluster.train.objects import all_gather_object, broadcast_object_list
from cluster.train.pipelining import PipelineStage, Schedule1F1B
from cluster.train.process_group import GroupMember, ProcessGroup
from cluster.train.sharded_unit import fully_shard
from cluster.train.state_dict import get_model_state_dict, set_model_state_dict
from cluster.train.subgroups import get_global_rank, get_group_rank, get_process_group_ranks, new_group
from cluster.train.tensor_collectives import (
    ReduceOp,
    all_gather,
    all_gather_into_tensor,
    all_reduce,
    barrier,
    broadcast,
    gather,
    recv,
    reduce,
    reduce_scatter,
    reduce_scatter_tensor,
    scatter,
    send,
)
from cluster.train.zero_redundancy_optimizer import ZeroRedundancyOptimizer

__all__ = [
    "DistributedDataParallel",
    "GroupMember",
    "PipelineStage",
    "ProcessGroup",
    "ReduceOp",
    "Schedule1F1B",
    "ZeroRedundancyOptimizer",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "all_reduce",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "checkpoint",
    "clip_grad_norm_",
    "destroy_process_group",
    "fully_shard",
    "gather",
    "get_global_rank",
    "get_group_rank",
    "get_model_state_dict",
    "get_process_group_ranks",
    "get_rank",
    "get_world_size",
    "init_process_group",
    "is_initialized",
    "new_group",
    "recv",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "scatter",
    "send",
    "set_model_state_dict",
]
