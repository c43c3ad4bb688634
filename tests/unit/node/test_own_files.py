"""What is read back from a cache is what this user wrote there: nobody else's file, nothing changed behind its time."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.cli.up import _verify
from cluster.config import load_config
from cluster.cutting.header import Header, read_header
from cluster.node.disk_cache import kept_folder, read_cached, write_cached
from cluster.node.own_files import open_own, read_own
from cluster.sources.cache import SourceCache
from cluster.sources.source import ModelSource, UrlPart
from cluster.store import soundness
from cluster.store.entry import StoredSlice
from cluster.store.seal import NAME, Seal
from cluster.store.slices import SliceStore
from cluster.synthetic import model
from cluster.terminal.progress import ProgressLines
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny

DEEP = "[" * 100_000
SOMEBODY = 12345

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel())


@pytest.fixture
def header(source: Path) -> Header:
    return read_header(source)


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    return SliceStore(tmp_path / "store")


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def flip(path: Path) -> None:
    """Change bytes in the middle, and set the times back."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        found = file.read(16)
        file.seek(status.st_size // 2)
        file.write(bytes(byte ^ 0xFF for byte in found))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def give_away(path: Path) -> None:
    os.chown(path, SOMEBODY, SOMEBODY)


def forge(path: Path) -> None:
    """Another file, and a manifest that fits it in all but the seal."""
    flip(path)
    manifest = path.with_suffix(".json")
    content = json.loads(manifest.read_text())
    status = path.stat()
    content |= {"sha256": sha256(path), "mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    manifest.write_text(json.dumps(content))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "changed, its time set back": flip,
    "writable by all": lambda path: path.chmod(0o666),
    "writable by others": lambda path: path.chmod(0o602),
    "manifest writable by all": lambda path: path.with_suffix(".json").chmod(0o606),
    "manifest of nested brackets": lambda path: path.with_suffix(".json").write_text(DEEP),
    "manifest of a number": lambda path: path.with_suffix(".json").write_text("7"),
    "manifest too large": lambda path: os.truncate(path.with_suffix(".json"), 1 << 30),
    "manifest is a FIFO": lambda path: (path.with_suffix(".json").unlink(), os.mkfifo(path.with_suffix(".json"))),
    "manifest for a forged file": forge,
    "secret gone": lambda path: (path.parent / NAME).unlink(),
    "secret shorter": lambda path: os.truncate(path.parent / NAME, 7),
    "secret readable and writable by all": lambda path: (path.parent / NAME).chmod(0o666),
    "file is a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_surely_ours_is_cut_again(damage: str, store: SliceStore, source: Path) -> None:
    stored = store.get_slice(opened(source), 1, 3)
    DAMAGE[damage](stored.path)
    again = SliceStore(store.root).get_slice(opened(source), 1, 3)
    assert (again.fresh, sha256(again.path)) == (True, stored.sha256)
    assert [stat.S_IMODE(path.stat().st_mode) for path in store.root.iterdir()] == [0o600] * 3
    assert not store.get_slice(opened(source), 1, 3).fresh


@needs_root
@pytest.mark.parametrize("name", ["{key}.gguf", "{key}.json", NAME])
def test_what_another_user_owns_is_cut_again(name: str, store: SliceStore, source: Path) -> None:
    stored = store.get_slice(opened(source), 1, 3)
    give_away(store.root / name.format(key=stored.key))
    again = store.get_slice(opened(source), 1, 3)
    assert (again.fresh, sha256(again.path)) == (True, stored.sha256)
    assert {path.stat().st_uid for path in store.root.iterdir()} == {os.geteuid()}


def test_a_manifest_is_that_of_its_own_slice(store: SliceStore, source: Path) -> None:
    """Both files of one slice under the names of another: each is sound by itself."""
    one, other = store.get_slice(opened(source), 1, 3), store.get_slice(opened(source), 0, 2)
    for suffix in (".gguf", ".json"):
        one.path.with_suffix(suffix).replace(other.path.with_suffix(suffix))
    again = store.get_slice(opened(source), 0, 2)
    assert (again.fresh, sha256(again.path)) == (True, other.sha256)


def test_a_folder_that_others_may_write_is_closed(store: SliceStore, source: Path) -> None:
    stored = store.get_slice(opened(source), 1, 3)
    store.root.chmod(0o777)
    model_hash, version = _named(store, stored)
    assert store.find(model_hash, version, 1, 3) is None
    assert sha256(store.get_slice(opened(source), 1, 3).path) == stored.sha256
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700
    assert store.find(model_hash, version, 1, 3) is not None


@needs_root
def test_a_folder_of_another_user_is_refused(store: SliceStore, source: Path) -> None:
    store.get_slice(opened(source), 1, 3)
    give_away(store.root)
    why = rf"store: belongs to another user \(uid {SOMEBODY}\); .* or set XDG_CACHE_HOME to a folder of your own"
    with pytest.raises(UsageError, match=why):
        store.get_slice(opened(source), 1, 3)


def test_bytes_are_read_once_a_day(store: SliceStore, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that lost what it was given changes no time."""
    stored = store.get_slice(opened(source), 1, 3)
    named = *_named(store, stored), 1, 3
    reads: list[float] = []
    assert store.find(*named, reads.append) is not None
    assert reads == []
    monkeypatch.setattr(soundness, "VERIFY_EVERY_S", 0)
    assert store.find(*named, reads.append) is not None
    assert reads == [1.0]


def test_verify_reads_all_slices_of_a_model(store: SliceStore, source: Path, tmp_path: Path) -> None:
    slices = [store.get_slice(opened(source), 0, 2), store.get_slice(opened(source), 2, 4)]
    other = write_tiny(tmp_path / "other.gguf", TinyModel(seed=1))
    store.get_slice(opened(other), 0, 2)
    model_hash, _ = _named(store, slices[0])
    assert {(item.key, is_sound) for item, is_sound in store.verify(model_hash)} == {
        (item.key, True) for item in slices
    }
    flip(slices[1].path)
    assert {(item.key, is_sound) for item, is_sound in store.verify(model_hash)} == {
        (slices[0].key, True),
        (slices[1].key, False),
    }
    assert [store.get_slice(opened(source), *cut).fresh for cut in ((0, 2), (2, 4))] == [False, True]


def test_up_verify_reads_the_slices_of_the_model(source: Path, own_home: Path) -> None:
    slices = [SliceStore().get_slice(opened(source), *cut) for cut in ((0, 2), (2, 4))]
    flip(slices[1].path)
    said = io.StringIO()
    _verify(load_config(None, {"model": str(source)}), ProgressLines(said))
    assert sorted(said.getvalue().splitlines()) == [
        "stored slice [0, 2) of 4: as written",
        "stored slice [2, 4) of 4: damaged, it will be cut again",
    ]


def test_a_mapped_slice_is_replaced_and_never_written_to(store: SliceStore, source: Path) -> None:
    """Whoever has it open keeps what it holds, even where a journal of its download was left beside it."""
    stored = store.get_slice(opened(source), 1, 3)
    stored.path.with_suffix(".journal").write_text("")
    with stored.path.open("rb") as file:
        stored.path.chmod(0o666)
        assert store.get_slice(opened(source), 1, 3).fresh
        assert hashlib.sha256(file.read()).hexdigest() == stored.sha256


def test_a_seal_needs_its_secret(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir(mode=0o700)
    seal = Seal(tmp_path / "one").of(b"content")
    assert Seal(tmp_path / "one").is_on(b"content", seal)
    assert not Seal(tmp_path / "one").is_on(b"contents", seal)
    assert not Seal(tmp_path / "other").is_on(b"content", seal)
    Seal(tmp_path / "other").of(b"content")
    assert not Seal(tmp_path / "other").is_on(b"content", seal)
    assert not Seal(tmp_path / "one").is_on(b"content", "é")


def test_only_small_regular_files_of_ours_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o700)
    path = folder / "file"
    path.write_bytes(b"four")
    assert (read_own(path, 4), read_own(path, 3)) == (b"four", None)
    (folder / "link").symlink_to(path)
    os.mkfifo(folder / "fifo")
    assert [open_own(folder / name) for name in ("link", "fifo", "none", ".")] == [None] * 4
    folder.chmod(0o707)
    assert read_own(path, 4) is None


@pytest.mark.parametrize("change", ["writable by all", "nested brackets", "folder writable by all", "a list"])
def test_a_kept_figure_that_others_may_have_written_is_measured_again(change: str, own_home: Path) -> None:
    write_cached("profile", {"device": "CPU"}, 7)
    (path,) = kept_folder().iterdir()
    assert read_cached("profile", {"device": "CPU"}, int) == 7
    match change:
        case "writable by all":
            path.chmod(0o666)
        case "nested brackets":
            path.write_text(DEEP)
        case "folder writable by all":
            kept_folder().chmod(0o777)
        case "a list":
            path.write_text("[]")
    assert read_cached("profile", {"device": "CPU"}, int) is None
    write_cached("profile", {"device": "CPU"}, 8)
    assert read_cached("profile", {"device": "CPU"}, int) == 8


@pytest.mark.parametrize("content", ["writable by all", DEEP, "[]", "7", '{"kind": []}'])
def test_a_remembered_source_that_others_may_have_written_is_forgotten(content: str, own_home: Path) -> None:
    found = ModelSource("hf:org/model", (UrlPart("http://host/model.gguf", 7, "etag"),))
    SourceCache().remember_resolved(found)
    assert SourceCache().resolved("hf:org/model") == found
    (path,) = SourceCache().root.iterdir()
    if content == "writable by all":
        path.chmod(0o666)
    else:
        path.write_text(content)
    assert SourceCache().resolved("hf:org/model") is None
    SourceCache().remember_resolved(found)
    assert SourceCache().resolved("hf:org/model") == found


def test_a_synthetic_model_that_others_may_have_written_is_written_again(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(model.SHAPES["300m"], num_layers=1, width=64, num_heads=1, num_kv_heads=1, feed_forward=64)
    monkeypatch.setattr(model, "SHAPES", {"300m": small})
    notes: list[str] = []
    path = model.synthetic_model("300m:F16", notes.append)
    assert model.synthetic_model("300m:F16", notes.append) == path
    assert len(notes) == 1
    path.chmod(0o666)
    model.synthetic_model("300m:F16", notes.append)
    assert len(notes) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _named(store: SliceStore, stored: StoredSlice) -> tuple[str, str]:
    """The hash and the version of the model that a slice is of."""
    manifest: dict[str, Any] = json.loads((store.root / f"{stored.key}.json").read_text())
    return manifest["model_hash"], manifest["version"]
