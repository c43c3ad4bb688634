"""A coordinator that is killed and comes back: whoever reads its answers only waits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cluster
from cluster.api.errors import UnreachableError
from cluster.client import resuming
from cluster.client.aio import AsyncClient
from tests.fakes.keeping_cluster import ALPHABET
from tests.fakes.wire_backends import SECRET

NUM_LETTERS = 13  # of each text, in one life


class Mortal:
    """A cluster that dies in the middle of every text. Somebody starts it again, at the same port."""

    def __init__(self, folder: Path, num_letters: int = NUM_LETTERS) -> None:
        self.folder = folder
        self.num_deaths = 0
        self._num_letters = num_letters
        self._stopping = threading.Event()
        self._process, self.address = self._start(0)
        self._thread = threading.Thread(target=self._revive)
        self.revives = True
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        while self._thread.is_alive():  # it may be starting one just now
            self._process.kill()
            self._thread.join(0.1)

    def _start(self, port: int) -> tuple[subprocess.Popen[str], str]:
        command = [
            sys.executable,
            "-m",
            "tests.fakes.keeping_cluster",
            str(port),
            str(self._num_letters),
            str(self.folder),
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def _revive(self) -> None:
        while True:
            with self._process as process:
                process.wait()
            if self._stopping.is_set() or not self.revives:
                return
            self.num_deaths += 1
            self._process, address = self._start(int(self.address.rpartition(":")[2]))
            assert address == self.address


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    found = Mortal(tmp_path)
    try:
        yield found
    finally:
        found.stop()


def streamed(client: cluster.Client) -> list[str]:
    return ["".join(event.text for event in client.stream("once"))]


CALLS: dict[str, Callable[[cluster.Client], list[str]]] = {
    "a stream": streamed,
    "a text": lambda client: [client.generate("once").text],
    "many texts": lambda client: [one.text for one in client.generate(["once", "twice", "again"])],
    "an iterator of texts": lambda client: [one.text for one in client.generate(iter(["once", "twice"]))],
}


@pytest.mark.parametrize("name", CALLS)
def test_answers_go_on_where_they_broke(name: str, mortal: Mortal) -> None:
    with cluster.connect(mortal.address, SECRET.text) as client:
        for text in CALLS[name](client):
            assert text == ALPHABET
    assert mortal.num_deaths >= 1


def test_answers_of_the_client_for_asyncio_go_on(mortal: Mortal) -> None:
    async def ask() -> None:
        async with await AsyncClient.connect(mortal.address, SECRET.text) as client:
            events = [event async for event in client.stream("once")]
            assert "".join(event.text for event in events) == ALPHABET
            assert [one.text for one in await client.generate(["once", "twice", "again"])] == [ALPHABET] * 3
            streams = await asyncio.gather(*(client.generate("once") for _ in range(3)))
            assert [one.text for one in streams] == [ALPHABET] * 3

    asyncio.run(ask())
    assert mortal.num_deaths > 1


def test_what_has_no_ticket_is_asked_for_again_from_the_start(mortal: Mortal) -> None:
    with cluster.connect(mortal.address, SECRET.text) as client:
        logits = client.logits([1, 2, 3])
        assert logits[:, 0].tolist() == [1.0, 2.0, 3.0]
        assert client.embed(["abc", "d"], normalize=False).vectors[:, 1].tolist() == [97.0, 100.0]

    async def ask() -> None:
        async with await AsyncClient.connect(mortal.address, SECRET.text) as other:
            (mortal.folder / "logits").unlink()
            assert (await other.logits([1, 2]))[:, 0].tolist() == [1.0, 2.0]

    asyncio.run(ask())
    assert mortal.num_deaths == 3


def test_whoever_comes_while_it_is_away_waits(tmp_path: Path) -> None:
    mortal = Mortal(tmp_path, num_letters=0)
    try:
        with cluster.connect(mortal.address, SECRET.text) as client:
            mortal._process.kill()
            assert client.generate("once").text == ALPHABET
        assert mortal.num_deaths == 1
    finally:
        mortal.stop()


def test_patience_has_an_end(mortal: Mortal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "RECONNECT_S", 0.5)
    mortal.revives = False
    with cluster.connect(mortal.address, SECRET.text) as client:
        stream = client.stream("once")
        with pytest.raises(UnreachableError, match="cannot reach a cluster at"):
            list(stream)
        begin_s = time.monotonic()
        with pytest.raises(UnreachableError, match="cannot reach a cluster at"):
            client.generate("once")
        assert time.monotonic() - begin_s >= 0.5


def test_closing_a_stream_ends_its_waiting(mortal: Mortal) -> None:
    mortal.revives = False
    with cluster.connect(mortal.address, SECRET.text) as client:
        stream = client.stream("once")
        letters: list[str] = []
        reader = threading.Thread(target=lambda: letters.extend(event.text for event in stream))
        reader.start()
        mortal._thread.join()  # it is dead, and stays so
        stream.close()
        reader.join(10)
        assert not reader.is_alive()
    assert "".join(letters) == ALPHABET[: len(letters)]


def test_a_client_that_was_never_told_of_it_does_not_wait(mortal: Mortal) -> None:
    mortal.revives = False
    mortal.stop()
    with cluster.Client(mortal.address, SECRET.text) as client, pytest.raises(UnreachableError, match="cannot reach"):
        client.generate("once")
