"""DraftSlots: which texts the model that drafts holds, and what it has been told of each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence as Items

from cluster.coordinator.drafting.follower import Told


class DraftSlots:
    """A slot for each text that is asked about; the one that was longest not asked about gives way."""

    def __init__(self, num_slots: int) -> None:
        self._told: list[list[int]] = [[] for _ in range(num_slots)]
        self._slots: OrderedDict[int, int] = OrderedDict()  # by request id, the last asked about behind

    def tell(self, request_id: int, log: Items[int]) -> Told:
        """What the model has to be told for it to know this text, and does know from now on."""
        slot = self._slots.pop(request_id, None)
        if slot is None:
            slot = self._free(log)
        self._slots[request_id] = slot
        told = self._told[slot]
        num_kept = _num_shared(told, log)
        new = tuple(log[num_kept:])
        told[num_kept:] = new
        return Told(slot, num_kept, new)

    def forget(self, request_id: int) -> None:
        """What its slot holds may be how another text begins."""
        self._slots.pop(request_id, None)

    def _free(self, log: Items[int]) -> int:
        """Of the free slots, or the one that is longest not in use, that which holds most of this text."""
        if len(self._slots) == len(self._told):
            return self._slots.popitem(last=False)[1]
        free = set(range(len(self._told))) - set(self._slots.values())
        return max(sorted(free), key=lambda slot: _num_shared(self._told[slot], log))


def _num_shared(one: Items[int], other: Items[int]) -> int:
    """Leading tokens that are equal."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    return next(place for place in range(length) if one[place] != other[place])
