"""Slices whose files say something else than what the cutter wrote, to see that it matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.cutting.cut import SlicePlan, cut, plan_file
from cluster.store.writer import SliceFiles, write_slice
from ggml.gguf.value import MetadataValue
from tests.fakes.opened import opened

ROLE = "ggml_cluster.slice"

Logits = list[NDArray[np.float32]]
Changes = Mapping[str, MetadataValue | None]


def write_slices(model: Path, folder: Path, cuts: Sequence[int], changes: Changes | None = None) -> list[Path]:
    """The model cut at all of `cuts`. `changes`: of keys of the slices' role that are there; None: left out."""
    source, found = opened(model), []
    for first, end in pairwise([0, *cuts, source.model.num_layers]):
        plan = _changed(cut(source.gguf, first, end, source.hash), changes or {})
        found.append(folder / f"{first}-{end}.gguf")
        write_slice(plan, source.origins, SliceFiles(found[-1], None))
    return found


def _changed(plan: SlicePlan, changes: Changes) -> SlicePlan:
    metadata = dict(plan.metadata)
    for name, value in changes.items():
        if metadata.pop(f"{ROLE}.{name}", None) is not None and value is not None:
            metadata[f"{ROLE}.{name}"] = value
    return plan_file(plan.first, plan.end, plan.num_layers, metadata, plan.tensors)


def difference(whole: Logits, split: Logits) -> float:
    """The largest, as a share of the largest logit."""
    pairs = list(zip(whole, split, strict=True))
    return float(max(np.abs(one - other).max() for one, other in pairs) / max(np.abs(one).max() for one, _ in pairs))
