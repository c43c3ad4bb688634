"""Slices and vocabularies of a source in this node's store: found there, or fetched once."""

from __future__ import annotations

from collections.abc import Callable

from cluster.sources.opening import open_model
from cluster.sources.source import ModelSource
from cluster.store.entry import StoredSlice
from cluster.store.slices import SliceStore
from cluster.wire.access.keys import Keys

Report = Callable[[str, float], object]


def stored_slice(
    source: ModelSource, model_hash: str, first: int, end: int, report: Report, keys: Keys | None = None
) -> StoredSlice:
    """A file with layers [first, end) of the model. If it is here, nothing else is read or asked.

    `report` gets the phase, "checking" (what is here), "cutting" (from this node's disk) or "fetching", and 0..1.
    `keys`: of this node, for peers. Errors as for `open_model` and `SliceStore.get_slice`.
    """
    store = SliceStore()
    found = store.find(model_hash, source.version, first, end, lambda fraction: report("checking", fraction))
    if found is not None:
        return found
    opened = open_model(source, model_hash, keys)
    phase = "cutting" if opened.origins[0].is_local else "fetching"
    report(phase, 0.0)
    return store.get_slice(opened, first, end, lambda fraction: report(phase, fraction))


def stored_vocabulary(source: ModelSource, model_hash: str, keys: Keys | None = None) -> StoredSlice:
    """A file with the model's metadata and tokenizer and no weights; errors as for `stored_slice`."""
    store = SliceStore()
    found = store.find(model_hash, source.version, 0, 0)
    return found if found is not None else store.get_vocabulary(open_model(source, model_hash, keys))
