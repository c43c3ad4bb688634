"""Checkpoints that all ranks write together, and that any number of ranks load: torch.distributed.checkpoint's names.

    from cluster.train import checkpoint

    checkpoint.save({"model": model, "optimizer": optimizer, "step": step}, "runs/a")
    checkpoint.load(state_dict, "runs/a")

A folder holds one GGUF file for each rank and an index, which is written last: until it is there, and when a process
dies in between, the folder is what it was before.
"""

from __future__ import annotations

from cluster.train.checkpoint.loading import load
from cluster.train.checkpoint.saving import save

__all__ = ["load", "save"]
