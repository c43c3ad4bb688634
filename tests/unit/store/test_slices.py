"""The slice store: complete files only, checked before use, and nothing left behind by killed writers."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, ModelFileError, UnsupportedModelError, UsageError
from cluster.cutting.cut import cut
from cluster.cutting.header import Header, read_header
from cluster.cutting.rules import check
from cluster.store import transfer
from cluster.store.fingerprint import sample_ranges
from cluster.store.slices import SliceStore
from cluster.store.transfer import plan_transfers, wanted_pieces
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny

SMALL_CHUNK_BYTES = 8192  # a tiny slice takes many transfers
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel("gemma3", tied=True, kind="Q8_0", window=4))


@pytest.fixture
def header(source: Path) -> Header:
    return read_header(source)


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    return SliceStore(tmp_path / "store")


def contents(path: Path, source: Path, header: Header, first: int, end: int) -> None:
    """Assert that `path` is the planned slice: each tensor's bytes are the source's, stand-ins are zeros."""
    plan, found = cut(check(header), first, end), read_header(path)
    data, original = path.read_bytes(), source.read_bytes()
    assert [info.name for info in found.tensors] == [info.name for info in plan.tensors]
    for info, planned in zip(found.tensors, plan.tensors, strict=True):
        start = found.data_start + info.offset
        expected = bytes(info.size_bytes)
        if planned.source_offset is not None:
            expected = original[planned.source_offset : planned.source_offset + info.size_bytes]
        assert data[start : start + info.size_bytes] == expected, info.name


def own_files(store: SliceStore) -> set[str]:
    """The kinds of files in the store, but for its secret."""
    return {path.suffix for path in store.root.iterdir()} - {""}


def test_a_slice_holds_the_bytes_of_the_source(store: SliceStore, source: Path, header: Header) -> None:
    for first, end in ((0, 2), (1, 3), (2, 4)):
        stored = store.get_slice(opened(source), first, end)
        assert (stored.first, stored.end, stored.num_layers, stored.fresh) == (first, end, 4, True)
        assert stored.sha256 == hashlib.sha256(stored.path.read_bytes()).hexdigest()
        assert stored.size_bytes == stored.path.stat().st_size
        contents(stored.path, source, header, first, end)
        role = read_header(stored.path).metadata["ggml_cluster.slice.model_hash"].value
        assert role == opened(source).hash
    assert own_files(store) == {".gguf", ".json"}


def test_stand_ins_are_holes(store: SliceStore, tmp_path: Path) -> None:
    """The embedding that the last slice stands in for is 83 kB of zeros."""
    source = write_tiny(
        tmp_path / "wide.gguf", TinyModel("llama", num_layers=2, width=2048, feed_forward=32, num_kv_heads=1)
    )
    header = read_header(source)
    (tmp_path / "probe").write_bytes(b"")
    os.truncate(tmp_path / "probe", 1 << 20)
    if (tmp_path / "probe").stat().st_blocks:
        pytest.skip("this file system has no holes")
    stored = store.get_slice(opened(source), 1, 2)
    zeros = sum(info.size_bytes for info in cut(check(header), 1, 2).tensors if info.source_offset is None)
    assert zeros > 80_000
    assert stored.disk_bytes < stored.size_bytes - zeros // 2


def test_a_second_get_reuses_the_slice(store: SliceStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "CHUNK_BYTES", SMALL_CHUNK_BYTES)
    fractions: list[float] = []
    first = store.get_slice(opened(source), 0, 2, fractions.append)
    assert fractions == sorted(fractions)
    assert (len(fractions) > 10, fractions[-1]) == (True, 1.0)
    again = SliceStore(store.root).get_slice(opened(source), 0, 2)
    assert replace(again, fresh=True, last_used_s=first.last_used_s) == first
    assert not again.fresh


def test_a_copied_model_is_another_source_of_the_same_model(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.gguf"
    shutil.copyfile(source, copy)
    assert opened(copy).hash == opened(source).hash


def test_the_model_hash_notices_other_weights(source: Path, header: Header, tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "other.gguf", TinyModel("gemma3", tied=True, kind="Q8_0", window=4, seed=1))
    assert opened(other).hash != opened(source).hash
    assert len(sample_ranges(header)) == len(header.tensors)
    for begin, end in sample_ranges(header):
        data = bytearray(source.read_bytes())
        data[random.randrange(begin, end)] ^= 1
        other.write_bytes(data)
        assert opened(other).hash != opened(source).hash


def test_a_touched_slice_is_checked_and_kept(store: SliceStore, source: Path) -> None:
    stored = store.get_slice(opened(source), 1, 3)
    os.utime(stored.path, (1, 1))
    reads: list[float] = []
    assert not store.get_slice(opened(source), 1, 3, reads.append).fresh
    assert reads[:2] == [1.0, 1.0], "its bytes were read, then it was found"
    reads.clear()
    assert not store.get_slice(opened(source), 1, 3, reads.append).fresh
    assert reads == [1.0], "once"


@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone", "manifest gone", "manifest damaged", "symlink"])
def test_a_damaged_slice_is_written_anew(damage: str, store: SliceStore, source: Path, header: Header) -> None:
    stored = store.get_slice(opened(source), 1, 3)
    manifest, data = stored.path.with_suffix(".json"), bytearray(stored.path.read_bytes())
    data[len(data) // 2] ^= 1
    match damage:
        case "flipped":
            stored.path.write_bytes(data)
            os.utime(stored.path, (1, 1))
        case "shorter":
            os.truncate(stored.path, len(data) - 1)
        case "gone":
            stored.path.unlink()
        case "manifest gone":
            manifest.unlink()
        case "manifest damaged":
            manifest.write_text('{"source": 3}')
        case "symlink":
            stored.path.unlink()
            stored.path.symlink_to(source)
    again = store.get_slice(opened(source), 1, 3)
    assert (again.fresh, again.sha256) == (True, stored.sha256)
    contents(again.path, source, header, 1, 3)
    assert source.stat().st_size == header.file_size_bytes


def test_the_whole_model_is_not_copied(store: SliceStore, source: Path) -> None:
    stored = store.get_slice(opened(source), 0, 4)
    assert (stored.path, stored.key, stored.fresh) == (source, "", False)
    assert not store.root.exists()


def test_a_vocabulary_file_has_the_tokenizer(store: SliceStore, source: Path, header: Header) -> None:
    stored = store.get_vocabulary(opened(source))
    found = read_header(stored.path)
    assert (found.metadata, found.tensors, stored.is_vocab) == (header.metadata, (), True)
    assert not store.get_vocabulary(opened(source)).fresh


def test_list_and_remove(store: SliceStore, source: Path, header: Header) -> None:
    assert store.list() == ()
    slices = [
        store.get_slice(opened(source), 0, 2),
        store.get_slice(opened(source), 2, 4),
        store.get_vocabulary(opened(source)),
    ]
    os.utime(slices[0].path.with_suffix(".json"), (9e9, 9e9))
    listed = store.list()
    assert listed[0].key == slices[0].key
    assert {found.key for found in listed} == {found.key for found in slices}
    assert {found.source_name for found in listed} == {"model.gguf"}
    assert {found.layers for found in listed} == {"[0, 2) of 4", "[2, 4) of 4", "vocabulary"}
    with pytest.raises(UsageError, match="not in the store"):
        store.remove("../model")
    assert store.remove(slices[0].key) == slices[0].disk_bytes
    assert len(store.list()) == 2
    assert store.remove_all() == slices[1].disk_bytes + slices[2].disk_bytes
    assert list(store.root.iterdir()) == []
    assert source.stat().st_size == header.file_size_bytes


def test_files_that_are_not_the_stores_stay(store: SliceStore, source: Path) -> None:
    store.root.mkdir()
    mine = [store.root / name for name in ("notes.txt", "model.gguf", "x.part", f"{'a' * 63}.gguf")]
    for path in mine:
        path.write_text("mine")
    store.get_slice(opened(source), 0, 2)
    store.remove_all()
    assert sorted(store.root.iterdir()) == sorted(mine)
    assert {path.read_text() for path in mine} == {"mine"}


def test_a_full_disk_is_told_before_writing(store: SliceStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ("total", "used", "free"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 10**6 - 5000, 5000))
    with pytest.raises(CapacityError, match=r"[\d,]+ bytes are needed, 5,000 are free; run `cluster cache rm`"):
        store.get_slice(opened(source), 0, 2)
    assert list(store.root.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_told(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"slice store .*; remove it or make it writable, or set XDG_CACHE_HOME"):
        SliceStore(tmp_path / "file" / "store").get_slice(opened(source), 0, 2)


def test_a_source_that_changed_is_refused(store: SliceStore, source: Path, header: Header) -> None:
    model = opened(source)
    os.utime(source, (1, 1))
    with pytest.raises(ModelFileError, match="changed after its header was read"):
        store.get_slice(model, 0, 2)
    os.truncate(source, 4096)
    with pytest.raises(ModelFileError, match="changed after its header was read"):
        store.get_slice(model, 0, 2)
    source.unlink()
    with pytest.raises(ModelFileError, match="cannot be opened"):
        store.get_slice(model, 0, 2)
    assert store.list() == ()


def test_an_unsupported_model_touches_nothing(store: SliceStore, tmp_path: Path) -> None:
    source = write_tiny(tmp_path / "chameleon.gguf", TinyModel("chameleon"))
    with pytest.raises(UnsupportedModelError, match="chameleon"):
        store.get_slice(opened(source), 0, 4)
    assert not store.root.exists()


def test_a_failing_progress_leaves_nothing(store: SliceStore, source: Path) -> None:
    def stop(fraction: float) -> None:
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get_slice(opened(source), 0, 2, stop)
    assert list(store.root.iterdir()) == []


def test_the_default_root_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert SliceStore().root == tmp_path / "ggml-cluster" / "slices"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SliceStore().root == tmp_path / ".cache" / "ggml-cluster" / "slices"


# --- Other processes

WRITER = f"""
import sys, time
from cluster.store import entry, transfer
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened
path, root, stop_at, pause_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
transfer.CHUNK_BYTES = {SMALL_CHUNK_BYTES}

def stop(*ignored):
    print("stopped", flush=True)
    time.sleep(60)

def progress(fraction, calls=[0]):
    calls[0] += 1
    time.sleep(pause_s)
    if calls[0] == stop_at:
        stop()

if stop_at == 0:
    entry.Manifest.write = stop
stored = SliceStore(root).get_slice(opened(path), 0, 2, progress)
print(stored.fresh, stored.sha256, flush=True)
"""


def writer(source: Path, store: SliceStore, stop_at: int = -1, pause_s: float = 0) -> subprocess.Popen[str]:
    """A process that gets [0, 2): it hangs after `stop_at` transfers, at 0 between slice and manifest."""
    command = [sys.executable, "-c", WRITER, str(source), str(store.root), str(stop_at), str(pause_s)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_a_killed_writer_leaves_no_half_slice(
    store: SliceStore, source: Path, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "CHUNK_BYTES", SMALL_CHUNK_BYTES)
    num_transfers = len(plan_transfers(wanted_pieces(cut(check(header), 0, 2)), [[(0, header.file_size_bytes)]]))
    assert num_transfers > 20
    expected = SliceStore(store.root.with_name("expected")).get_slice(opened(source), 0, 2).sha256
    for stop_at in (1, random.randrange(2, num_transfers), num_transfers, 0):
        with writer(source, store, stop_at) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "stopped\n"
            child.send_signal(signal.SIGKILL)
        complete = [hashlib.sha256(path.read_bytes()).hexdigest() for path in store.root.glob("*.gguf")]
        assert complete == ([expected] if stop_at == 0 else [])
        assert own_files(store) == ({".gguf", ".lock"} if stop_at == 0 else {".part", ".lock"})
        assert store.list() == ()
    assert store.get_slice(opened(source), 0, 2).sha256 == expected
    assert own_files(store) == {".gguf", ".json"}


def test_another_slice_cleans_up_after_a_killed_writer(store: SliceStore, source: Path) -> None:
    with writer(source, store, stop_at=3) as child:
        assert child.stdout is not None
        child.stdout.readline()
        store.get_vocabulary(opened(source))
        assert ".part" in own_files(store), "the part of a living writer stays"
        child.send_signal(signal.SIGKILL)
    store.get_vocabulary(opened(source))
    assert own_files(store) == {".gguf", ".json"}


def test_two_writers_of_one_slice_write_it_once(store: SliceStore, source: Path) -> None:
    with writer(source, store, pause_s=0.005) as one, writer(source, store, pause_s=0.005) as other:
        assert one.stdout is not None
        assert other.stdout is not None
        results = [child.stdout.read().split() for child in (one, other) if child.stdout]
    assert sorted(fresh for fresh, _ in results) == ["False", "True"]
    assert results[0][1] == results[1][1]
    assert own_files(store) == {".gguf", ".json"}
