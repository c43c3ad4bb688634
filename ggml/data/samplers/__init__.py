"""In which order samples are taken, and which are together in a batch."""

from __future__ import annotations

from ggml.data.samplers.distributed import DistributedSampler
from ggml.data.samplers.drawn import RandomSampler, SubsetRandomSampler, WeightedRandomSampler
from ggml.data.samplers.sampler import BatchSampler, Sampler, SequentialSampler

__all__ = [
    "BatchSampler",
    "DistributedSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]
