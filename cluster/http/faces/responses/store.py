"""Answers that may be continued: kept in memory, so long as there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from cluster.http.faces.face import Body

MAX_RESPONSES = 1000
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Stored:
    """A response and the conversation up to its end. Kept as JSON, whose size is the memory that it takes."""

    response: bytes
    items: bytes  # a JSON list: all items before this request, then its own, then the answer's
    num_before: int  # items that earlier requests brought
    num_own: int  # items that this request brought

    @property
    def size_bytes(self) -> int:
        return len(self.response) + len(self.items)

    def conversation(self) -> list[Body]:
        items: list[Body] = orjson.loads(self.items)
        return items

    def input_items(self) -> list[Body]:
        """What this request brought."""
        return self.conversation()[self.num_before : self.num_before + self.num_own]

    def output_items(self) -> list[Body]:
        return self.conversation()[self.num_before + self.num_own :]


class ResponseStore:
    """The last responses, by their ids. Those longest unused leave first. May be used from several threads."""

    def __init__(self, max_responses: int = MAX_RESPONSES, max_bytes: int = MAX_BYTES) -> None:
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._stored: OrderedDict[str, Stored] = OrderedDict()
        self._owners: dict[str, str] = {}  # the response that an item of an answer belongs to, by the item's id
        self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._stored)

    def get(self, response_id: str) -> Stored | None:
        with self._lock:
            stored = self._stored.get(response_id)
            if stored is not None:
                self._stored.move_to_end(response_id)
            return stored

    def item(self, item_id: str) -> Body | None:
        """An item of a stored answer."""
        stored = self.get(self._owners.get(item_id, ""))
        items = [] if stored is None else stored.output_items()
        return next((item for item in items if item.get("id") == item_id), None)

    def put(self, response: Body, before: Sequence[Body], own: Sequence[Body]) -> None:
        """Keeps a response with all that it answers; one that is larger than all room there is is not kept."""
        output: Sequence[Body] = response["output"]
        items = orjson.dumps([*before, *own, *output])
        stored = Stored(orjson.dumps(response), items, len(before), len(own))
        if stored.size_bytes > self._max_bytes:
            return
        with self._lock:
            self._stored[response["id"]] = stored
            self._num_bytes += stored.size_bytes
            self._owners.update({item["id"]: response["id"] for item in output})
            while len(self._stored) > self._max_responses or self._num_bytes > self._max_bytes:
                self._remove(next(iter(self._stored)))

    def delete(self, response_id: str) -> bool:
        """False if there is none."""
        with self._lock:
            if response_id not in self._stored:
                return False
            self._remove(response_id)
            return True

    def _remove(self, response_id: str) -> None:
        stored = self._stored.pop(response_id)
        self._num_bytes -= stored.size_bytes
        for item in stored.output_items():
            self._owners.pop(item["id"], None)
