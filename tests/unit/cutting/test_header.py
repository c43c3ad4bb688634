"""A model's header: whatever is wrong with a file is a ModelFileError, in the reader's words."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from cluster.api.errors import ModelFileError, UsageError
from cluster.cutting.cut import cut
from cluster.cutting.header import Header, parse_header, read_header, read_part
from cluster.cutting.rules import check
from ggml.gguf.value import ValueType
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.ggml.gguf.hostile import WRONG, build, edits, info, mutate

BASE = TinyModel("gemma3", num_layers=2, width=32, num_heads=2, feed_forward=32, kind="Q8_0", window=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf", BASE)


def test_keys_of_every_model(tiny: Path) -> None:
    header = read_header(tiny)
    assert (header.architecture, header.num_layers, header.num_nextn_layers, header.hidden_width) == (
        "gemma3",
        2,
        0,
        32,
    )


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named(name: str, tmp_path: Path) -> None:
    content, expected = WRONG[name]
    path = tmp_path / "wrong.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and expected in message
    assert "\n" not in message


def test_a_header_from_elsewhere_is_refused_in_the_same_words() -> None:
    data = memoryview(build((), (info(b"x", kind=43),)))
    with pytest.raises(ModelFileError, match=re.escape("weights at a: tensor x: type: unknown tensor type 43")):
        parse_header(data, "weights at a", len(data))


def test_keys_that_are_asked_for_later_are_refused_alike(tiny: Path) -> None:
    header = read_header(tiny)
    with pytest.raises(ModelFileError, match=r"gemma3\.block_count: has type UINT32, must be STRING"):
        header.get("gemma3.block_count", ValueType.STRING)
    with pytest.raises(ModelFileError, match="none: missing"):
        header.uint32("none")


def test_a_part_is_read_by_who_wants_parts(tmp_path: Path) -> None:
    path = tmp_path / "part.gguf"
    path.write_bytes(WRONG["split"][0])
    assert type(read_part(path)) is Header


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    whys = {
        tmp_path: "file: not a regular file",
        tmp_path / "fifo": "file: not a regular file",
        tmp_path / "missing": "cannot be opened: No such file or directory",
        tmp_path / "nul\0": "cannot be opened: embedded null byte",
    }
    for path, why in whys.items():
        with pytest.raises(ModelFileError) as caught:
            read_header(path)
        assert str(caught.value) == f"{path}: {why}"


@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_a_mutated_model_is_cut_or_refused(tiny: Path, tmp_path: Path, changes: list[tuple[str, float, int]]) -> None:
    content, head_bytes = tiny.read_bytes(), read_header(tiny).data_start
    for change in changes:
        content = mutate(content, head_bytes, *change)
    path = tmp_path / "mutated.gguf"
    path.write_bytes(content)
    try:
        header = read_header(path)
    except ModelFileError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        with suppress(UsageError):
            cut(check(header), 0, 1)
