"""Whose text is next: fair by the time that was taken, and nothing is lost by a client that leaves."""

from __future__ import annotations

import asyncio

import pytest

from cluster.fairness.turns import Turns


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time the test sets."""

    now_s = 0.0

    def time(self) -> float:
        return self.now_s


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Queue:
    """Clients that want turns, and the order in which they got them."""

    def __init__(self, clock: Clock) -> None:
        self.turns = Turns()
        self.order: list[str] = []
        self._clock = clock

    def want(self, client: str) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._take(client))

    async def spend(self, seconds: float) -> None:
        """The turn takes so long, and ends."""
        self._clock.now_s += seconds
        self.turns.give_on()
        await settle()

    async def _take(self, client: str) -> None:
        await self.turns.take(client)
        self.order.append(client)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_newcomer_is_next(clock: Clock) -> None:
    async def steps() -> list[str]:
        queue = Queue(clock)
        tasks = [queue.want(client) for client in "aaabbb"]
        await settle()
        tasks.append(queue.want("c"))
        for _ in range(7):
            await settle()
            await queue.spend(1.0)
        await asyncio.gather(*tasks)
        return queue.order

    assert "".join(clock.run_until_complete(steps())) == "abcabab"
    clock.close()


def test_who_takes_long_waits_longer(clock: Clock) -> None:
    async def steps() -> list[str]:
        queue = Queue(clock)
        tasks = [queue.want(client) for client in "hhh" + "s" * 12]
        await settle()
        while len(queue.order) < 15:
            await queue.spend(4.0 if queue.order[-1] == "h" else 1.0)
        queue.turns.give_on()
        await asyncio.gather(*tasks)
        return queue.order

    order = "".join(clock.run_until_complete(steps()))
    assert order.startswith("hssss")
    assert [order[: order.rindex("h")].count(client) for client in "hs"] == [2, 8]
    clock.close()


def test_who_leaves_while_waiting_is_passed_over(clock: Clock) -> None:
    async def steps() -> list[str]:
        queue = Queue(clock)
        tasks = [queue.want(client) for client in "abc"]
        await settle()
        tasks[1].cancel()
        await queue.spend(1.0)
        await queue.spend(1.0)
        queue.want("d")
        await settle()
        return queue.order

    assert clock.run_until_complete(steps()) == ["a", "c", "d"]
    clock.close()


def test_who_leaves_as_the_turn_comes_gives_it_on(clock: Clock) -> None:
    async def steps() -> list[str]:
        queue = Queue(clock)
        tasks = [queue.want(client) for client in "abc"]
        await settle()
        queue.turns.give_on()  # b's turn has come, and b does not know yet
        tasks[1].cancel()
        await settle()
        return queue.order

    assert clock.run_until_complete(steps()) == ["a", "c"]
    clock.close()
