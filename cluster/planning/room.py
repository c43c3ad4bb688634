"""Whether this node's disk has room for its slices of a plan, before anything is started.

Other nodes look at theirs when they cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cluster.cutting.cut import SlicePlan
from cluster.cutting.servable import Servable, cut_servable, header_plan
from cluster.planning.survey import Survey
from cluster.store.slices import SliceStore
from cluster.store.writer import check_room as check_free


def check_room(found: Survey, model: Servable, bounds: Sequence[int]) -> None:
    """CapacityError if the slices between `bounds` that this node has to cut do not fit beside what is in its store.

    UsageError if the store cannot be written, though something has to be.
    """
    store = SliceStore()
    plans = [*_slices(found, model, bounds), header_plan(model)]
    missing_bytes = sum(store.missing_bytes(plan, found.model_hash, found.source.version) for plan in plans)
    if missing_bytes:
        store.check_writable()
        check_free(store.root, missing_bytes)


def _slices(found: Survey, model: Servable, bounds: Sequence[int]) -> list[SlicePlan]:
    """What has to be cut: a slice of all layers is the model's own file where that is one file on this node."""
    is_whole = found.whole_path is not None and len(bounds) == 2
    here = zip(found.places, pairwise(bounds), strict=True)
    ranges = [] if is_whole else [layers for place, layers in here if place.node == found.head]
    return [cut_servable(model, *layers, found.model_hash) for layers in ranges]
