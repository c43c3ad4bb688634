"""The reader of headers reads what gguf-py reads, and nothing but GgufError comes out of bad files."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings

from ggml.gguf.cursor import HeaderIncomplete
from ggml.gguf.encode import encode_header
from ggml.gguf.errors import GgufError
from ggml.gguf.limits import GGUF_PY, LIBLLAMA, Rules
from ggml.gguf.reader import parse_header, read_header
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.ggml.gguf.hostile import (
    ARRAY,
    BOOL,
    ONLY_FOR_LIBLLAMA,
    PARTS,
    STRING,
    WRONG,
    build,
    edits,
    info,
    key,
    mutate,
    text,
)

BASE = TinyModel("gemma3", num_layers=2, width=32, num_heads=2, feed_forward=32, kind="Q8_0", window=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf", BASE)


def test_it_reads_what_gguf_py_reads(tiny: Path) -> None:
    header, reference = read_header(str(tiny)), gguf.GGUFReader(tiny)
    fields = {key: field for key, field in reference.fields.items() if not key.startswith("GGUF.")}
    assert list(header.metadata) == list(fields)
    for name, value in header.metadata.items():
        found = value.value
        if isinstance(found, MetadataArray):
            decoded = (
                [text.decode() for text in found.strings()]
                if found.element_type is ValueType.STRING
                else found.numbers().tolist()
            )
            assert decoded == fields[name].contents()
        else:
            assert found == fields[name].contents()
    assert [one.name for one in header.tensors] == [tensor.name for tensor in reference.tensors]
    for one, tensor in zip(header.tensors, reference.tensors, strict=True):
        assert one.shape == tuple(int(extent) for extent in reversed(tensor.shape))
        assert one.type.number == tensor.tensor_type
        assert one.size_bytes == tensor.n_bytes
        assert header.data_start + one.offset == tensor.data_offset


def test_encoding_a_header_gives_back_its_bytes(tiny: Path) -> None:
    header = read_header(str(tiny))
    assert encode_header(header.metadata, header.tensors) == tiny.read_bytes()[: header.data_start]


def test_a_large_vocabulary_opens_in_little_memory(tmp_path: Path) -> None:
    count = 150_000
    path = tmp_path / "vocab.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([f"token{index}" for index in range(count)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tracemalloc.start()
    header = read_header(str(path))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1.5 * path.stat().st_size
    tokens = header.metadata["tokenizer.ggml.tokens"].value
    assert isinstance(tokens, MetadataArray)
    assert tokens.strings()[count - 1] == b"token149999"


def test_it_needs_nothing_of_ours() -> None:
    code = "import sys, ggml.gguf.reader, ggml.gguf.encode\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    ours = [name for name in done.stdout.split() if name.partition(".")[0] in ("ggml", "worker_native", "cluster")]
    assert all(name.startswith("ggml.gguf") for name in ours if name not in ("ggml", "ggml._import_guard"))


@pytest.mark.parametrize("rules", [LIBLLAMA, GGUF_PY], ids=["libllama", "gguf-py"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named(name: str, rules: Rules, tmp_path: Path) -> None:
    content, expected = WRONG[name]
    path = tmp_path / "wrong.gguf"
    path.write_bytes(content)
    if name in PARTS or (rules is GGUF_PY and name in ONLY_FOR_LIBLLAMA):
        read_header(str(path), rules)
        return
    with pytest.raises(GgufError) as caught:
        read_header(str(path), rules)
    error, message = caught.value, str(caught.value)
    assert message.startswith(f"{path}: {expected}") or expected in message
    assert message == f"{error.path}: {error.field}: {error.why}" and error.path == str(path)
    assert "\n" not in message and len(message) < 1000


def test_scalars_have_no_blocks(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(build((), (info(b"x", (), 8),)))
    with pytest.raises(GgufError, match="tensor x: 1 elements in a row are no multiple of Q8_0's block of 32"):
        read_header(str(tmp_path / "x.gguf"), GGUF_PY)


def test_what_gguf_py_may_write_besides(tmp_path: Path) -> None:
    path = tmp_path / "right.gguf"
    infos = (info(b"a" * 1000, ()), info(b"", (4, 0), offset=32), info(b"c\0", (0,), 8, 32), info(b"d", offset=32))
    path.write_bytes(build((), infos))
    found = read_header(str(path), GGUF_PY).tensors
    assert [(one.name[:2], one.shape, one.size_bytes, one.offset) for one in found] == [
        ("aa", (), 4, 0),
        ("", (0, 4), 0, 32),
        ("c\0", (0,), 0, 32),
        ("d", (4,), 16, 32),
    ]


def test_the_file_that_the_wrong_ones_are_made_from_is_right(tmp_path: Path) -> None:
    path = tmp_path / "right.gguf"
    keys = (key(b"a", BOOL, b"\1"), key(b"b", ARRAY, struct.pack("<IQ", STRING, 1) + text(b"\xff")))
    path.write_bytes(build(keys, (info(b"x"), info(b"y", (32, 2), 8, 32))))
    for rules in (LIBLLAMA, GGUF_PY):
        header = read_header(str(path), rules)
        assert header.metadata["a"] == MetadataValue(ValueType.BOOL, True)
        assert [(found.shape, found.size_bytes) for found in header.tensors] == [((4,), 16), ((2, 32), 68)]


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "nul\0"):
        with pytest.raises(GgufError):
            read_header(str(path))
    with pytest.raises(FileNotFoundError):
        read_header(str(tmp_path / "missing"))


def test_its_error_travels() -> None:
    found = pickle.loads(pickle.dumps(GgufError("a", "b", "c")))
    assert (type(found), str(found), found.field) == (GgufError, "a: b: c", "b")


@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_a_mutated_file_is_read_or_refused(tiny: Path, tmp_path: Path, changes: list[tuple[str, float, int]]) -> None:
    content, head_bytes = tiny.read_bytes(), read_header(str(tiny)).data_start
    for change in changes:
        content = mutate(content, head_bytes, *change)
    path = tmp_path / "mutated.gguf"
    path.write_bytes(content)
    for rules in (LIBLLAMA, GGUF_PY):
        _is_read_or_refused(path, rules, len(content))


def _is_read_or_refused(path: Path, rules: Rules, num_bytes: int) -> None:
    tracemalloc.start()
    try:
        header = read_header(str(path), rules)
    except GgufError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        for value in header.metadata.values():
            if isinstance(value.value, MetadataArray) and value.value.element_type is ValueType.STRING:
                assert len(value.value.strings()) == value.value.count
        last = header.tensors[-1:]
        assert all(header.data_start + found.offset + found.size_bytes <= num_bytes for found in last)
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 4 << 20


def test_the_beginning_of_a_header_asks_for_more(tmp_path: Path) -> None:
    """Whatever is asked for is needed: so a header that is fetched in ranges costs no more than it must."""
    path = write_tiny(tmp_path / "m.gguf", TinyModel())
    data, whole = path.read_bytes(), read_header(str(path))
    for length in (*range(0, whole.data_start - 31, 7), whole.data_start - 32):
        with pytest.raises(HeaderIncomplete) as caught:
            parse_header(memoryview(data)[:length], "m", len(data))
        assert length < caught.value.needed_bytes <= whole.data_start
    found = parse_header(memoryview(data)[: whole.data_start], "m", len(data))
    assert (found.tensors, found.metadata, found.data_start) == (whole.tensors, whole.metadata, whole.data_start)
