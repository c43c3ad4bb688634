"""A model that was replaced since a cluster loaded it is noticed: a file, its parts, a URL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api.errors import UsageError
from cluster.sources.freshness import changed_file, check_unchanged, file_states
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from tests.fakes.range_server import RangeServer
from tests.fakes.tiny_models import TinyModel, write_tiny

OTHER = "not the model any more that the cluster serves: .*; put that back, or run cluster down, then cluster up"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "model.gguf", TinyModel())


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "other.gguf", TinyModel(seed=1))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def loaded(name: str) -> tuple[str, str, str]:
    """What a cluster remembers of a model: its name, version and hash."""
    source = resolve(name)
    return name, source.version, open_model(source).hash


def test_a_file_as_it_was_is_no_news(model: Path) -> None:
    name, version, model_hash = loaded(str(model))
    assert check_unchanged(name, version, model_hash) == ""
    assert check_unchanged(name, "", model_hash) == "", "remembered by an earlier version"
    assert changed_file(name, version) == ""


@pytest.mark.parametrize("how", ["replaced", "written over", "with the time of the former one", "damaged"])
def test_another_file_of_the_same_name_is_refused(how: str, model: Path, other: Path) -> None:
    name, version, model_hash = loaded(str(model))
    status = model.stat()
    match how:
        case "replaced":
            other.replace(model)
        case "written over":
            shutil.copyfile(other, model)
        case "with the time of the former one":
            other.replace(model)
            os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "damaged":
            os.truncate(model, status.st_size - 1)
    with pytest.raises(UsageError, match=OTHER):
        check_unchanged(name, version, model_hash)
    assert bool(changed_file(name, version)) == (how != "with the time of the former one")


def test_a_file_written_again_or_gone_is_a_note(model: Path, tmp_path: Path) -> None:
    name, version, model_hash = loaded(str(model))
    os.utime(model, (1, 1))
    assert check_unchanged(name, version, model_hash) == (
        f"{model}: was written again since, and has the same hash; the cluster goes on with what it loaded"
    )
    assert "is not the file any more that the cluster loaded" in changed_file(name, version)
    model.rename(tmp_path / "elsewhere")
    for note in (check_unchanged(name, version, model_hash), changed_file(name, version)):
        assert note.startswith(f"{model}: cannot be opened: No such file")
        assert note.endswith("the cluster goes on with what it loaded")


def test_a_part_that_was_replaced_is_refused(tmp_path: Path) -> None:
    first = write_tiny(tmp_path / "split.gguf", TinyModel(), max_tensors=20)
    name, version, model_hash = loaded(str(first))
    (tmp_path / "others").mkdir()
    write_tiny(tmp_path / "others" / "split.gguf", TinyModel(seed=1), max_tensors=20)
    second = first.with_name(first.name.replace("-00001-", "-00002-"))
    shutil.copyfile(tmp_path / "others" / second.name, second)
    with pytest.raises(UsageError, match=OTHER):
        check_unchanged(name, version, model_hash)


@pytest.fixture
def web(model: Path) -> Iterator[RangeServer]:
    with RangeServer({"/model.gguf": model.read_bytes()}).running() as server:
        yield server


def test_a_url_that_gives_another_file_is_refused(web: RangeServer, other: Path) -> None:
    name, version, model_hash = loaded(f"{web.url}/model.gguf")
    assert check_unchanged(name, version, model_hash) == ""
    assert changed_file(name, version) == "", "nobody is asked"
    web.files["/model.gguf"], web.etag = other.read_bytes(), '"v2"'
    with pytest.raises(UsageError, match=OTHER):
        check_unchanged(name, version, model_hash)


def test_states_tell_every_change(model: Path, other: Path, web: RangeServer) -> None:
    before = file_states(resolve(str(model)))
    assert file_states(resolve(str(model))) == before
    source, status = resolve(str(model)), model.stat()
    shutil.copyfile(other, model)
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_states(source) != before
    model.unlink()
    assert file_states(source) == (None,)
    assert file_states(resolve(f"{web.url}/model.gguf")) == ()
