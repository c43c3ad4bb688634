"""FairQueue: what waits, by client. Whoever has least goes first; then whoever has been given nothing for longest."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Client = str  # names who asks; what that is, is decided where requests come in (`wire.client_name`)


class Turns:
    """How long each client has been given nothing. One that comes anew is behind those that wait already."""

    def __init__(self) -> None:
        self._since: dict[Client, int] = {}  # clients that wait, and since when
        self._now = 0
        self._last: frozenset[Client] = frozenset()  # who was served last

    def came(self, client: Client) -> None:
        """It waits from now on, if it did not before: behind those who wait, before those who were just served."""
        self._since.setdefault(client, self._now - (client not in self._last))

    def served(self, clients: Iterable[Client]) -> None:
        """They were given something at the same time."""
        self._now += 2
        self._last = frozenset(clients)
        self._since.update(dict.fromkeys(self._last, self._now))

    def left(self, client: Client) -> None:
        """It waits for nothing any more."""
        self._since.pop(client, None)

    def since(self, client: Client) -> int:
        """The smallest number goes first."""
        return self._since[client]

    @property
    def waiting(self) -> Collection[Client]:
        return self._since.keys()


@dataclass(frozen=True, slots=True, order=True)
class _Place(Generic[Item]):
    number: int  # in the order of arrival
    item: Item = field(compare=False)


class FairQueue(Generic[Item]):
    """Items of several clients, each with a key. With one client only, it is first come, first served.

    Not thread safe. What a client has beside what waits here (slots, threads) is told by the caller as `held`.
    """

    def __init__(self) -> None:
        self._by_client: dict[Client, dict[int, _Place[Item]]] = {}
        self._clients: dict[int, Client] = {}  # by key
        self._arrivals = itertools.count()
        self._turns = Turns()

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def clients(self) -> Collection[Client]:
        """The clients that have something here."""
        return self._by_client.keys()

    def add(self, key: int, client: Client, item: Item) -> None:
        """`key` must not be here yet."""
        assert key not in self._clients, f"add: {key} waits already"
        self._clients[key] = client
        self._turns.came(client)
        self._by_client.setdefault(client, {})[key] = _Place(next(self._arrivals), item)

    def take(self, key: int) -> Item:
        """Takes out an item whose client is given now what it waits for."""
        self._turns.served([self._clients[key]])
        item = self.remove(key)
        assert item is not None
        return item

    def remove(self, key: int) -> Item | None:
        """Takes an item out; None if it is not here (any more)."""
        client = self._clients.pop(key, None)
        if client is None:
            return None
        places = self._by_client[client]
        item = places.pop(key).item
        if not places:
            del self._by_client[client]
            self._turns.left(client)
        return item

    def clear(self) -> list[Item]:
        """Takes all items out, in the order in which they came."""
        places = sorted(place for by_key in self._by_client.values() for place in by_key.values())
        for client in self._by_client:
            self._turns.left(client)
        self._by_client.clear()
        self._clients.clear()
        return [place.item for place in places]

    def in_order(self, held: Mapping[Client, int], most: int | None = None) -> Iterator[Item]:
        """The items as their turns come, if each is given what it waits for and keeps it; no client more than `most`.

        A client's turn comes when no other has less; of those with as little, when it has been given nothing for
        longest. Nothing may be added or removed while this is read.
        """
        waiting = {client: iter(places.values()) for client, places in self._by_client.items()}
        turns = [
            (held.get(client, 0), self._turns.since(client), next(places), client)
            for client, places in waiting.items()
            if most is None or held.get(client, 0) < most
        ]
        later = itertools.count(max((since for _, since, _, _ in turns), default=0) + 1)
        heapq.heapify(turns)
        while turns:
            num_held, _, place, client = turns[0]
            yield place.item
            following = next(waiting[client], None)
            if following is None or num_held + 1 == most:
                heapq.heappop(turns)
            else:
                heapq.heapreplace(turns, (num_held + 1, next(later), following, client))

    def gives_way_to(self, client: Client, held: Mapping[Client, int]) -> Item | None:
        """The item that leaves a full queue for one more of `client`: the newest of whoever has most in all.

        None where nobody would still have as much as `client` then.
        """
        most = max(self._by_client, key=lambda other: self._num_of(other, held), default=client)
        if most == client or self._num_of(most, held) - 1 < self._num_of(client, held) + 1:
            return None
        return next(reversed(self._by_client[most].values())).item

    def _num_of(self, client: Client, held: Mapping[Client, int]) -> int:
        return held.get(client, 0) + len(self._by_client.get(client, ()))
