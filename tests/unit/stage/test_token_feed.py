"""The first stage begins a step when the one that it follows was answered, with the tokens sampled there."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cluster.api.errors import ClusterError
from cluster.messages.step import Microbatch, SampledStep, SampledToken, StepId, StepResult
from cluster.stage.token_feed import TokenFeed
from cluster.wire.codec.sampled import decode_sampled_step, encode_sampled_step
from cluster.wire.local.frames import Frames
from cluster.wire.local.source import Source
from protos import stage_pb2
from tests.fakes.wire_backends import make_batch


def following(step: int, after: int, tokens: list[int | None], slots: list[int]) -> Microbatch:
    """None for a token that is pending."""
    pending = [row for row, token in enumerate(tokens) if token is None]
    known = np.array([token or 0 for token in tokens], np.int32)
    rows = {"tokens": known, "slots": np.array(slots, np.int32), "pending": np.array(pending, np.int32)}
    return make_batch(step, len(tokens), after=after, **rows)


def sampled_step(step: int, *pairs: tuple[int, int], epoch: int = 3) -> SampledStep:
    sampled = tuple(SampledToken(row, slot, token, -1.0) for row, (slot, token) in enumerate(pairs))
    return SampledStep.of(StepResult(StepId(epoch, 0, step), sampled))


@pytest.fixture
def tokens() -> TokenFeed:
    found = TokenFeed()
    found.begin(3)
    return found


def test_the_newest_token_of_each_slot_is_filled_in(tokens: TokenFeed) -> None:
    tokens.take(sampled_step(4, (0, 11), (2, 13)))
    tokens.take(sampled_step(5, (0, 21)))
    filled = tokens.fill(following(6, 5, [None, 7, None], [0, 1, 2]))
    assert filled.tokens.tolist() == [21, 7, 13]
    assert filled.tokens.dtype == np.int32
    assert (filled.after, filled.pending.tolist()) == (None, []), "the stages behind need not wait"
    ordinary = make_batch(7)
    assert tokens.fill(ordinary) is ordinary


def test_a_step_waits_for_the_one_that_it_follows_and_no_other(tokens: TokenFeed) -> None:
    assert tokens.wait(make_batch(1)) == 0
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(tokens.wait, following(6, 5, [None], [0]))
        tokens.take(sampled_step(4, (0, 11)))
        tokens.take(sampled_step(5, (0, 11), epoch=2))
        time.sleep(0.05)
        assert not waiting.done()
        before_ns = time.monotonic_ns()
        tokens.take(sampled_step(5, (0, 12)))
        answered_ns = waiting.result(10)
    assert answered_ns is not None
    assert before_ns <= answered_ns <= time.monotonic_ns()
    assert tokens.wait(following(6, 5, [None], [0])) == answered_ns, "it was answered long ago"


@pytest.mark.parametrize("how", ["begin", "end"])
def test_the_end_of_an_epoch_ends_the_waiting_and_forgets_the_tokens(tokens: TokenFeed, how: str) -> None:
    tokens.take(sampled_step(5, (0, 12)))
    outcomes: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: outcomes.put(tokens.wait(following(7, 6, [None], [0]))))
    thread.start()
    tokens.end() if how == "end" else tokens.begin(4)
    assert outcomes.get(timeout=10) is None
    thread.join()
    with pytest.raises(ClusterError, match="slot 0 has sampled no token"):
        tokens.fill(following(1, 0, [None], [0]))


def test_after_the_end_no_epoch_begins(tokens: TokenFeed) -> None:
    """A Hello that comes while the stage is taken down must not make its thread wait forever."""
    tokens.end()
    tokens.begin(3)
    assert tokens.wait(following(6, 5, [None], [0])) is None


@pytest.fixture
def way() -> Iterator[tuple[Frames, Source[SampledStep]]]:
    """Where the last stage says what it sampled, and the source of that."""
    there, here = (Frames(end) for end in socket.socketpair())

    def take(data: bytes) -> SampledStep:
        return decode_sampled_step(stage_pb2.SampledStep.FromString(data), 8)

    yield there, Source(here, take)
    there.free()
    here.free()


def say(frames: Frames, sampled: SampledStep) -> None:
    frames.send(encode_sampled_step(sampled).SerializeToString())


def test_the_thread_that_waits_reads_what_was_sampled_itself(
    tokens: TokenFeed, way: tuple[Frames, Source[SampledStep]]
) -> None:
    there, source = way
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(tokens.read_from, source)
        waiting = threads.submit(tokens.wait, following(6, 5, [None], [0]))
        say(there, sampled_step(4, (0, 11)))
        time.sleep(0.05)
        assert not waiting.done()
        say(there, sampled_step(5, (0, 12)))
        assert waiting.result(10)
        assert tokens.fill(following(6, 5, [None], [0])).tokens.tolist() == [12]
        source.end()
        reading.result(10)


def test_what_nobody_waits_for_is_read_with_each_step(
    tokens: TokenFeed, way: tuple[Frames, Source[SampledStep]]
) -> None:
    there, source = way
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(tokens.read_from, source)
        while tokens._polled._source is None:
            time.sleep(0.001)
        for step in range(100):
            say(there, sampled_step(step, (0, step)))
            assert tokens.wait(make_batch(step)) == 0
        assert source.read() == [], "all of it was taken"
        assert tokens.fill(following(100, 99, [None], [0])).tokens.tolist() == [99]
        there.close()
        assert tokens.wait(make_batch(100)) == 0
        reading.result(10)


@pytest.mark.parametrize("how", ["source", "epoch"])
def test_an_end_wakes_who_waits_for_a_source(
    tokens: TokenFeed, way: tuple[Frames, Source[SampledStep]], how: str
) -> None:
    """The end of a source does not end the epoch: others tell of that, and it may be another source that is lent."""
    _, source = way
    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(tokens.read_from, source)
        waiting = threads.submit(tokens.wait, following(6, 5, [None], [0]))
        if how == "source":
            source.end()
            reading.result(10)
            assert not waiting.done()
        tokens.begin(4)
        assert waiting.result(10) is None
        source.end()
        reading.result(10)


def test_a_wrong_message_ends_the_source(tokens: TokenFeed, way: tuple[Frames, Source[SampledStep]]) -> None:
    there, source = way
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(tokens.read_from, source)
        while tokens._polled._source is None:
            time.sleep(0.001)
        say(there, sampled_step(4, (9, 11)))
        tokens.wait(make_batch(1))
        reading.result(10)
    assert isinstance(source.error, ClusterError)
