"""Downloads that were killed go on where they were; what is on disk is only believed if its digest says so."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, ModelFileError
from cluster.cli.command import main
from cluster.cutting.cut import cut
from cluster.cutting.header import Header, read_header
from cluster.cutting.rules import check
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.source import ModelSource
from cluster.sources.stored import stored_slice
from cluster.store import downloader as filling_module
from cluster.store import transfer
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened
from tests.fakes.range_server import Answer, RangeServer
from tests.fakes.tiny_models import TinyModel, write_tiny

REPOSITORY = Path(__file__).parents[3]
CHUNK_BYTES = 256 << 10
NUM_READS = 8
NUM_SMALL = 1 + 1 + 39  # answers before those that count: the size, the header, the end of each tensor
FETCH = f"""
import sys
from cluster.store import transfer
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.stored import stored_slice
transfer.CHUNK_BYTES = {CHUNK_BYTES}
source = resolve(sys.argv[1])
print(stored_slice(source, open_model(source).hash, 1, 4, lambda *_: None).sha256, flush=True)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "CHUNK_BYTES", CHUNK_BYTES)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel(width=512, feed_forward=1024, num_heads=8, num_kv_heads=8))


@pytest.fixture
def header(model: Path) -> Header:
    return read_header(model)


@pytest.fixture
def expected(model: Path, header: Header, tmp_path: Path) -> bytes:
    return SliceStore(tmp_path / "local").get_slice(opened(model), 1, 4).path.read_bytes()


@pytest.fixture
def web(model: Path) -> Iterator[RangeServer]:
    with RangeServer({"/model.gguf": model.read_bytes()}).running() as running:
        yield running


def fetch(source: ModelSource) -> bytes:
    return stored_slice(source, open_model(source).hash, 1, 4, lambda *_: None).path.read_bytes()


def kinds() -> set[str]:
    """Of files in the store, but for its secret."""
    return {path.name.partition(".")[2] for path in SliceStore().root.glob("*")} - {""}


def stall_after(web: RangeServer, num_answers: int) -> threading.Event:
    """From then on no answer comes; the event tells when that is so."""
    stalled, numbers = threading.Event(), itertools.count()

    def script(path: str, begin: int, end: int) -> Answer | None:
        if next(numbers) < num_answers:
            return None
        stalled.set()
        return Answer(drop_after=0, status=503, headers=(("Retry-After", "9"),))

    web.script = script
    return stalled


def killed_fetch(web: RangeServer, stalled: threading.Event) -> None:
    command = [sys.executable, "-c", FETCH, f"{web.url}/model.gguf"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as child:
        assert stalled.wait(60)
        time.sleep(0.05)  # let those that are under way arrive
        child.send_signal(signal.SIGKILL)


def test_a_killed_download_goes_on(web: RangeServer, header: Header, expected: bytes) -> None:
    weight_bytes = cut(check(header), 1, 4).weight_bytes
    num_chunks = weight_bytes // CHUNK_BYTES
    for num_answers in (NUM_SMALL + 3, 1 + num_chunks // 2):  # header and samples are remembered
        killed_fetch(web, stall_after(web, num_answers))
        assert kinds() == {"gguf.part", "journal", "lock"}
        assert SliceStore().list() == ()
        SliceStore().sweep()
        assert kinds() == {"gguf.part", "journal"}, "what can go on stays"
        before = len(web.sent)
    web.script = lambda *_: None
    assert fetch(resolve(f"{web.url}/model.gguf")) == expected
    assert web.sent_bytes(before) < weight_bytes * 3 // 5, "only what was missing"
    assert web.sent_bytes() < weight_bytes + 2 * NUM_READS * CHUNK_BYTES + 3 * (1 << 16)
    assert kinds() == {"gguf", "json"}


def test_killed_at_any_moment_it_is_never_half_a_slice(web: RangeServer, expected: bytes) -> None:
    rng = random.Random()
    command = [sys.executable, "-c", FETCH, f"{web.url}/model.gguf"]
    web.script = lambda *_: time.sleep(0.002)
    for _ in range(4):
        num_before = len(web.sent)
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as child:
            while child.poll() is None and len(web.sent) == num_before:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.0, 0.4))
            child.send_signal(signal.SIGKILL)
        for stored in SliceStore().list():
            assert stored.path.read_bytes() == expected
    web.script = lambda *_: None
    assert fetch(resolve(f"{web.url}/model.gguf")) == expected


@pytest.mark.parametrize(
    "damage", ["torn", "shorter", "journal lies", "journal garbage", "journal cut", "other plan", "other layout"]
)
def test_what_a_crash_left_is_not_believed(
    web: RangeServer, expected: bytes, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_fetch(web, stall_after(web, NUM_SMALL + 20))
    (part,), (journal,) = SliceStore().root.glob("*.gguf.part"), SliceStore().root.glob("*.journal")
    lines = [line for line in journal.read_text().splitlines() if line]
    assert len(lines) >= 10
    layout, target, size_bytes, digest = lines[0].split()
    match damage:
        case "torn":  # the journal reached the disk, the bytes did not
            with part.open("r+b") as file:
                file.seek(int(target))
                file.write(bytes(int(size_bytes)))
        case "shorter":
            os.truncate(part, part.stat().st_size - 1)
        case "journal lies":
            lies = [
                f"{layout} {target} {size_bytes} {'0' * 64}",
                f"{layout} {target} 99999999 {digest}",
                f"9{lines[1]}",
            ]
            journal.write_text("\n".join(lies))
        case "other layout":  # its bytes are as they were, but belong elsewhere now
            with part.open("r+b") as file:
                file.write(b"other")
            journal.write_text("\n".join(f"{'0' * 64}{line[64:]}" for line in lines))
        case "journal garbage":
            journal.write_bytes(random.Random(2).randbytes(10_000))
        case "journal cut":
            journal.write_text("\n".join(lines)[:-3])
        case "other plan":
            monkeypatch.setattr(transfer, "CHUNK_BYTES", CHUNK_BYTES // 2 + 32)
    web.script = lambda *_: None
    assert fetch(resolve(f"{web.url}/model.gguf")) == expected


def test_a_finished_download_leaves_no_journal_and_remove_takes_all(web: RangeServer) -> None:
    killed_fetch(web, stall_after(web, NUM_SMALL + 20))
    assert SliceStore().remove_all() > 0
    assert kinds() == set()


def test_killed_before_the_manifest_nothing_comes_again(web: RangeServer, expected: bytes) -> None:
    script = FETCH.replace("import sys\n", "import sys, time\nfrom cluster.store import entry\n", 1).replace(
        "source =", "entry.Manifest.write = lambda *_: (print(flush=True), time.sleep(60))\nsource =", 1
    )
    command = [sys.executable, "-c", script, f"{web.url}/model.gguf"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    assert kinds() == {"gguf", "journal", "lock"}
    assert SliceStore().list() == ()
    before = len(web.sent)
    assert fetch(resolve(f"{web.url}/model.gguf")) == expected
    assert web.sent_bytes(before) == 1
    assert kinds() == {"gguf", "json"}


def test_the_command_line_shows_and_removes_an_unfinished_download(
    web: RangeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_fetch(web, stall_after(web, NUM_SMALL + 20))
    assert main(["cache", "ls"]) == 0
    assert "(unfinished download)" in capsys.readouterr().out
    assert list((SliceStore().root.parent / "sources").iterdir()) != []
    assert main(["cache", "rm", "--all"]) == 0
    assert (kinds(), list((SliceStore().root.parent / "sources").iterdir())) == (set(), [])


def test_an_old_download_is_swept(web: RangeServer) -> None:
    killed_fetch(web, stall_after(web, NUM_SMALL + 20))
    (journal,) = SliceStore().root.glob("*.journal")
    os.utime(journal, (1, 1))
    SliceStore().sweep()
    assert kinds() == set()


def test_a_refusal_in_the_middle_keeps_what_came(web: RangeServer, expected: bytes) -> None:
    numbers = itertools.count()
    web.script = lambda *_: Answer(401) if next(numbers) > NUM_SMALL + 20 else None
    source = resolve(f"{web.url}/model.gguf")
    with pytest.raises(Exception, match="HTTP 401"):
        fetch(source)
    before = len(web.sent)
    web.script = lambda *_: None
    assert fetch(source) == expected
    assert web.sent_bytes(before) < len(expected) - 10 * CHUNK_BYTES


def test_a_disk_that_fills_up_is_told_and_the_download_goes_on_later(
    web: RangeServer, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, write_at = itertools.count(), filling_module.write_at

    def full(out: int, chunk: memoryview, offset: int) -> None:
        if next(numbers) > 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_at(out, chunk, offset)

    source = resolve(f"{web.url}/model.gguf")
    with monkeypatch.context() as patch:
        patch.setattr(filling_module, "write_at", full)
        with pytest.raises(CapacityError, match="the disk is full; run `cluster cache rm`"):
            fetch(source)
    assert "gguf" not in kinds()
    assert fetch(source) == expected


def test_a_local_file_that_changes_while_it_is_cut(
    model: Path, header: Header, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, opened_model = SliceStore(tmp_path / "store"), opened(model)
    numbers, write_at = itertools.count(), filling_module.write_at

    def touch(out: int, chunk: memoryview, offset: int) -> None:
        write_at(out, chunk, offset)
        if next(numbers) == 3:
            os.utime(model, (1, 1))

    monkeypatch.setattr(filling_module, "write_at", touch)
    with pytest.raises(ModelFileError, match="changed after its header was read"):
        store.get_slice(opened_model, 0, 3)
    assert list(store.root.iterdir()) == []
