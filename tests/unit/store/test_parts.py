"""Split models: found by the first part's name, checked, and seen as one file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from cluster.api.errors import ModelFileError, UsageError
from cluster.cutting.cut import cut
from cluster.cutting.header import read_header, read_part
from cluster.cutting.rules import check
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from cluster.sources.stored import stored_slice, stored_vocabulary
from cluster.store.parts import merge_parts, part_names
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny

MODEL = TinyModel("qwen3", tied=True, kind="Q8_0")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "whole.gguf", MODEL)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "split.gguf", MODEL, max_tensors=10)


def parts_of(first: Path) -> list[Path]:
    return [Path(name) for name in part_names(str(first))]


def test_names_of_parts() -> None:
    assert part_names("/a/model.gguf") == ("/a/model.gguf",)
    assert part_names("m-00001-of-00002.gguf") == ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    assert part_names("m-00001-of-00001.GGUF") == ("m-00001-of-00001.GGUF",)
    for wrong in ("m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "m-00001-of-09999.gguf", "m-00000-of-00000.gguf"):
        with pytest.raises(UsageError, match="is not possible"):
            part_names(wrong)
    with pytest.raises(UsageError, match=r"part 2 of 3; name the first part, a/m-00001-of-00003\.gguf"):
        part_names("a/m-00002-of-00003.gguf")


def test_a_split_model_is_the_model(whole: Path, first: Path, tmp_path: Path) -> None:
    assert len(parts_of(first)) >= 4
    one, split = open_model(resolve(str(whole))), open_model(resolve(str(first)))
    assert split.hash == one.hash
    assert [info.name for info in split.model.header.tensors] == [info.name for info in one.model.header.tensors]
    for begin, end in ((0, 2), (1, 3), (2, 4)):
        expected = SliceStore(tmp_path / "local").get_slice(opened(whole), begin, end)
        found = stored_slice(resolve(str(first)), one.hash, begin, end, lambda *_: None)
        assert found.path.read_bytes() == expected.path.read_bytes()
    assert "split.count" not in read_header(stored_vocabulary(resolve(str(first)), one.hash).path).metadata


def test_all_layers_of_a_split_model_become_one_file(whole: Path, first: Path) -> None:
    source = resolve(str(first))
    stored = stored_slice(source, open_model(source).hash, 0, 4, lambda *_: None)
    assert stored.path.stat().st_size == cut(check(read_header(whole)), 0, 4, open_model(source).hash).file_bytes
    one, found = read_header(whole), read_header(stored.path)
    data, original = stored.path.read_bytes(), whole.read_bytes()
    by_name = {info.name: info for info in found.tensors}
    for info in one.tensors:
        begin, original_begin = found.data_start + by_name[info.name].offset, one.data_start + info.offset
        assert data[begin : begin + info.size_bytes] == original[original_begin : original_begin + info.size_bytes]


def lose(parts: list[Path]) -> None:
    parts[2].unlink()


def swap(parts: list[Path]) -> None:
    keep = parts[1].read_bytes()
    shutil.copy(parts[2], parts[1])
    parts[2].write_bytes(keep)


def repeat(parts: list[Path]) -> None:
    shutil.copy(parts[0], parts[1])


def shorten(parts: list[Path]) -> None:
    data = parts[1].read_bytes()
    parts[1].write_bytes(data[: len(data) // 2])


def rename(parts: list[Path]) -> None:
    """Drop the last part and name the others as if they were all."""
    parts[-1].unlink()
    for index, part in enumerate(parts[:-1]):
        part.rename(part.with_name(f"split-{index + 1:05}-of-{len(parts) - 1:05}.gguf"))


def contradict(parts: list[Path]) -> None:
    reader = gguf.GGUFReader(parts[1])
    writer = gguf.GGUFWriter(parts[1].with_suffix(".new"), "llama")
    writer.add_uint16("split.no", 1)
    writer.add_uint16("split.count", len(parts))
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    parts[1].with_suffix(".new").replace(parts[1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose, r"-00003-of-.*cannot be opened: No such file"),
        (swap, r"-00002-of-.*split\.no: 2, must be 1"),
        (repeat, r"-00002-of-.*split\.no: 0, must be 1"),
        (shorten, r"-00002-of-.*truncated"),
        (rename, r"split\.count: \d+, but there are \d+ files"),
        (contradict, r"-00002-of-.*'general\.architecture': differs from that of .*-00001-of-"),
    ],
)
def test_parts_that_are_no_model_are_named(first: Path, damage: Callable[[list[Path]], None], said: str) -> None:
    parts = parts_of(first)
    damage(parts)
    start = min(first.parent.glob("split-00001-of-*.gguf"))
    with pytest.raises(ModelFileError, match=said):
        open_model(resolve(str(start)))


def test_a_tensor_in_two_parts_or_in_none(first: Path) -> None:
    from dataclasses import replace

    headers = [read_part(path) for path in parts_of(first)]
    twice = replace(headers[1], tensors=(*headers[1].tensors, headers[0].tensors[0]))
    with pytest.raises(ModelFileError, match="in an earlier part too"):
        merge_parts([headers[0], twice, *headers[2:]])
    with pytest.raises(ModelFileError, match=r"split\.tensors\.count"):
        merge_parts([headers[0], replace(headers[1], tensors=headers[1].tensors[:-1]), *headers[2:]])


def test_a_part_alone_is_told(first: Path) -> None:
    with pytest.raises(ModelFileError, match=r"one of \d parts of a model; name the first of them"):
        read_header(first)
    renamed = first.rename(first.with_name("renamed.gguf"))
    with pytest.raises(ModelFileError, match=r"split\.count: \d+, but there are 1 files"):
        open_model(resolve(str(renamed)))
