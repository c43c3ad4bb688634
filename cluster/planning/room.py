"""Whether this node's disk has room for the slices of a plan, before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cluster.cutting.cut import SlicePlan, cut, vocab_header
from cluster.planning.inventory import Inventory
from cluster.store.slices import SliceStore
from cluster.store.writer import check_room as check_free


def check_room(found: Inventory, bounds: Sequence[int]) -> None:
    """CapacityError if the slices between `bounds` that are not in the store do not fit beside what is.

    UsageError if the store cannot be written, though something has to be.
    """
    store = SliceStore()
    plans = [*_slices(found, bounds), vocab_header(found.model.header)]
    missing_bytes = sum(store.missing_bytes(plan, found.model_hash, found.source.version) for plan in plans)
    if missing_bytes:
        store.check_writable()
        check_free(store.root, missing_bytes)


def _slices(found: Inventory, bounds: Sequence[int]) -> list[SlicePlan]:
    """What has to be cut: a slice of all layers is the model's own file where that is one file on this node."""
    is_whole = found.whole_path is not None and len(bounds) == 2
    return [] if is_whole else [cut(found.model, first, end, found.model_hash) for first, end in pairwise(bounds)]
