"""A coordinator that is killed at any moment leaves all that was told; whatever a file holds is read without harm."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.errors import ClusterError
from cluster.api.results import PromptCounts, TokenEvent
from cluster.coordinator.journal import limits, reading
from cluster.coordinator.journal.frames import Frames, frame_of
from cluster.coordinator.journal.kept import Kept
from cluster.coordinator.journal.records import (
    VERSION,
    begin_message,
    begin_record,
    end_record,
    event_record,
    header_record,
)
from protos import inference_pb2, journal_pb2, sampling_pb2
from tests.unit.coordinator.journal.samples import IDENTITY, LAST, asked, kept_at, opened, tell, token

REPOSITORY = Path(__file__).parents[4]
NUM_STREAMS = 4

# Tells all streams one token after the other, and writes to its output how many each of them may have seen.
WRITER = """
import os, struct, sys
from pathlib import Path
from tests.unit.coordinator.journal.samples import IDENTITY, asked, token
from cluster.coordinator.journal.journal import Journal

journal = Journal(Path(sys.argv[1]), IDENTITY, max_bytes=int(sys.argv[2]))
journal.open()
streams = range(int(sys.argv[3]))
for stream in streams:
    journal.begin(asked(stream))
number = 0
while True:
    journal.tell([(asked(stream).ticket, token(number)) for stream in streams])
    number += 1
    os.write(1, struct.pack("<I", number))
"""


@pytest.mark.parametrize(
    ("max_bytes", "num_steps"),
    [
        (1 << 20, 3),
        (2000, 751),
        *(pytest.param(2000, 100 * number, marks=pytest.mark.slow) for number in range(1, 9)),
    ],
)
def test_all_that_was_told_is_there_after_a_kill(tmp_path: Path, max_bytes: int, num_steps: int) -> None:
    """With small files, it is killed among others while one is copied."""
    path = tmp_path / "journal"
    arguments = [sys.executable, "-c", WRITER, str(path), str(max_bytes), str(NUM_STREAMS)]
    with subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = child.stdout.read(4 * num_steps)
        child.send_signal(signal.SIGKILL)
        said += child.stdout.read()
    num_told = len(said) // 4
    assert num_told >= num_steps
    kept = kept_at(path)
    assert [one.asked for one in kept] == [asked(stream) for stream in range(NUM_STREAMS)]
    for one in kept:
        assert one.events == tuple(map(token, range(len(one.events))))
        assert num_told <= len(one.events) <= num_told + 1


def small_file(folder: Path) -> tuple[Path, list[tuple[int, list[Kept]]]]:
    """A journal with every kind of record, and what is open in it up to each record's end."""
    path = folder / "journal"
    first, second = asked(1), asked(2)
    progress = TokenEvent(None, "", prompt=PromptCounts(3, 0, 1))
    with opened(path) as (journal, _):
        journal.begin(first)
        journal.tell([(first.ticket, progress), (first.ticket, token(1))])
        journal.begin(second)
        journal.tell([(second.ticket, token(2)), (first.ticket, token(3))])
        journal.end(second.ticket)
    wanted: list[list[Kept]] = [
        [],
        [Kept(first, ())],
        [Kept(first, (progress,))],
        [Kept(first, (progress, token(1)))],
        [Kept(first, (progress, token(1))), Kept(second, ())],
        [Kept(first, (progress, token(1), token(3))), Kept(second, (token(2),))],
        [Kept(first, (progress, token(1), token(3)))],
    ]
    with path.open("rb") as file:
        frames = Frames(file)
        ends = [frames.position for _ in frames]
    assert ends[-1] == path.stat().st_size
    return path, [(0, []), *zip(ends, wanted, strict=True)]


def test_a_file_cut_anywhere_has_what_stands_before_the_cut(tmp_path: Path) -> None:
    path, states = small_file(tmp_path)
    data = path.read_bytes()
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        assert reading_of(path) == [kept for end, kept in states if end <= length][-1]


def reading_of(path: Path) -> list[Kept]:
    """What a new coordinator finds, which does not change the file."""
    try:
        return reading.read_kept(path, IDENTITY)
    except ClusterError:  # of the whole file, as `open` expects it
        return []


def is_start(found: list[Kept], states: Iterable[tuple[int, list[Kept]]]) -> bool:
    return any(found == kept for _, kept in states)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_flipped_bits_end_the_reading(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path, states = small_file(tmp_path_factory.mktemp("journal"))
    sound = bytearray(path.read_bytes())
    for bit in data.draw(st.sets(st.integers(0, 8 * len(sound) - 1), min_size=1, max_size=5)):
        sound[bit // 8] ^= 1 << bit % 8
    path.write_bytes(sound)
    assert is_start(reading_of(path), states)
    assert is_start(kept_at(path), states)


IDS = st.integers(0, 4) | st.integers(0, 2**64 - 1)
INTS = st.integers(-(2**31), 2**31 - 1)
SAMPLINGS = st.builds(
    sampling_pb2.Sampling,
    temperature=st.floats(),
    seed=st.integers(0, 2**64 - 1),
    stop=st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=3),
    until_end=st.booleans(),
    max_tokens=st.none() | st.integers(0, 2**32 - 1),
    prompt_logprobs=st.none() | st.integers(0, 2**32 - 1),
    logit_bias=st.none()
    | st.builds(sampling_pb2.Biases, tokens=st.just([1]), biases=st.lists(st.floats(), max_size=2)),
)
EVENTS = st.builds(
    inference_pb2.TokenEvent,
    token=st.none() | INTS,
    text=st.just("x"),
    finish_reason=st.integers(0, 9),
    timings=st.none() | st.builds(inference_pb2.Timings, queue_ms=st.floats()),
    top=st.none() | st.builds(sampling_pb2.TopLogprobs, tokens=st.lists(INTS, max_size=3)),
)
MESSAGES = st.one_of(
    st.builds(
        lambda **given: journal_pb2.JournalRecord(begin=journal_pb2.JournalBegin(**given)),
        serial=IDS,
        ticket=st.binary(min_size=16, max_size=16) | st.just(bytes(16)) | st.binary(max_size=3),
        token_ids=st.lists(INTS | st.integers(0, 3), max_size=3),
        params=SAMPLINGS,
        client=st.just("c") | st.just("c" * 1000),
        scales=st.lists(st.floats(), max_size=2),
    ),
    st.builds(
        lambda **given: journal_pb2.JournalRecord(tokens=journal_pb2.JournalTokens(**given)),
        serials=st.lists(IDS, min_size=1, max_size=2),
        tokens=st.lists(INTS | st.integers(0, 3), min_size=1, max_size=2),
        texts=st.lists(st.just("x"), min_size=1, max_size=2),
        logprobs=st.lists(st.floats(), min_size=1, max_size=2),
    ),
    st.builds(
        lambda serial, events: journal_pb2.JournalRecord(
            events=journal_pb2.JournalEvents(serial=serial, events=inference_pb2.GenerateEvents(events=events))
        ),
        IDS,
        st.lists(EVENTS, max_size=2),
    ),
    st.builds(lambda serial: journal_pb2.JournalRecord(end=journal_pb2.JournalEnd(serial=serial)), IDS),
    st.just(journal_pb2.JournalRecord(header=journal_pb2.JournalHeader(version=VERSION, identity=IDENTITY))),
).map(lambda message: message.SerializeToString())


@settings(max_examples=30, deadline=None)
@given(records=st.lists(MESSAGES | st.binary(max_size=30), max_size=8), has_header=st.booleans(), tail=st.binary())
def test_well_framed_nonsense_is_read_without_harm(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], has_header: bool, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    sound = [header_record(IDENTITY), begin_record(1, begin_message(asked(1)))] if has_header else []
    path.write_bytes(b"".join(map(frame_of, [*sound, *(one for one in records if one)])) + tail)
    kept = kept_at(path)
    assert repr(kept_at(path)) == repr(kept)  # what is rewritten is what was read; no NaN equals itself


HEAD = struct.Struct("<II")
BEGUN = [header_record(IDENTITY), begin_record(1, begin_message(asked(1)))]


@pytest.mark.parametrize(
    "tail",
    [
        bytes(100_000),
        HEAD.pack(2**32 - 1, 0),
        HEAD.pack(limits.MAX_FRAME_BYTES + 1, 0) + bytes(100),
        HEAD.pack(5, zlib.crc32(b"12345")) + b"1234",
        frame_of(b"\xff" * 9),
        frame_of(begin_record(1, begin_message(asked(2)))),
        frame_of(begin_record(2, begin_message(asked(1)))),
        frame_of(end_record(2)),
        frame_of(event_record(7, token(1))),
        frame_of(event_record(1, LAST)),
        frame_of(header_record(IDENTITY)),
    ],
    ids=["zeros", "length", "longer", "cut", "nonsense", "serial", "ticket", "end", "events", "last", "header"],
)
def test_what_cannot_stand_in_a_file_ends_the_reading(
    tmp_path: Path, tail: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal"
    start = b"".join(map(frame_of, BEGUN))
    path.write_bytes(start + tail + frame_of(begin_record(9, begin_message(asked(9)))))
    assert kept_at(path) == [Kept(asked(1), ())]
    assert f"damaged at byte {len(start)}" in caplog.text


def test_a_file_of_another_model_is_not_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    with opened(path) as (journal, _):
        journal.begin(asked(1))
    assert kept_at(path, "model cd34, protocol 7") == []
    assert "'model ab12, protocol 7'" in caplog.text
    assert kept_at(path) == []  # it was begun anew


def test_a_file_of_another_version_is_not_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    header = journal_pb2.JournalHeader(version=VERSION + 1, identity=IDENTITY)
    path.write_bytes(
        frame_of(journal_pb2.JournalRecord(header=header).SerializeToString())
        + frame_of(begin_record(1, begin_message(asked(1))))
    )
    assert kept_at(path) == []
    assert "no journal of this version" in caplog.text


def test_no_more_is_read_than_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal"
    events = tuple(map(token, range(20)))
    with opened(path) as (journal, _):
        for number in (1, 2, 3):
            journal.begin(asked(number))
        tell(journal, 1, *events)
    monkeypatch.setattr(reading, "MAX_OPEN", 2)
    assert [kept.asked for kept in reading_of(path)] == [asked(1), asked(2)]
    monkeypatch.undo()
    monkeypatch.setattr(reading, "MAX_EVENTS", 19)
    found = reading_of(path)[0].events
    assert found == events[: len(found)] != events
    monkeypatch.setattr(reading, "MAX_FILE_BYTES", path.stat().st_size - 1)
    assert kept_at(path) == []
    assert "no more than" in caplog.text


def test_a_sparse_file_of_any_size_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"".join(map(frame_of, BEGUN)))
    os.truncate(path, 1 << 40)
    assert kept_at(path) == []
    assert path.stat().st_size < 1000
