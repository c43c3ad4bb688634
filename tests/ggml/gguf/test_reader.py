"""The header reader reads what gguf-py reads, and nothing but ModelFileError comes out of bad files."""

from __future__ import annotations

import math
import os
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.api.errors import ModelFileError, UsageError
from cluster.cutting.cut import cut
from cluster.cutting.header import parse_header, read_header
from cluster.cutting.rules import check
from ggml.gguf.cursor import HeaderIncomplete
from ggml.gguf.encode import encode_header
from ggml.gguf.tensor_types import TENSOR_TYPES, tensor_type
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType
from tests.fakes.tiny_models import TinyModel, write_tiny

BASE = TinyModel("gemma3", num_layers=2, width=32, num_heads=2, feed_forward=32, kind="Q8_0", window=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("gguf") / "tiny.gguf", BASE)


def test_it_reads_what_gguf_py_reads(tiny: Path) -> None:
    header, reference = read_header(tiny), gguf.GGUFReader(tiny)
    fields = {key: field for key, field in reference.fields.items() if not key.startswith("GGUF.")}
    assert list(header.metadata) == list(fields)
    for key, value in header.metadata.items():
        found = value.value
        if isinstance(found, MetadataArray):
            decoded = (
                [text.decode() for text in found.strings()]
                if found.element_type is ValueType.STRING
                else found.numbers().tolist()
            )
            assert decoded == fields[key].contents()
        else:
            assert found == fields[key].contents()
    assert [info.name for info in header.tensors] == [tensor.name for tensor in reference.tensors]
    for info, tensor in zip(header.tensors, reference.tensors, strict=True):
        assert info.shape == tuple(int(extent) for extent in reversed(tensor.shape))
        assert info.type.number == tensor.tensor_type
        assert info.size_bytes == tensor.n_bytes
        assert header.data_start + info.offset == tensor.data_offset
    assert (header.architecture, header.num_layers, header.hidden_width) == ("gemma3", 2, 32)


def test_encoding_a_header_gives_back_its_bytes(tiny: Path) -> None:
    header = read_header(tiny)
    assert encode_header(header.metadata, header.tensors) == tiny.read_bytes()[: header.data_start]


def test_the_type_table_agrees_with_gguf_py() -> None:
    known = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert set(known) <= set(TENSOR_TYPES)
    for number, sizes in known.items():
        kind = TENSOR_TYPES[number]
        # gguf-py still counts two floats in a Q8_1 block; ggml has had two halves for long.
        expected = (32, 36) if kind.name == "Q8_1" else sizes
        assert (kind.block_size, kind.block_bytes) == expected, kind.name
        assert tensor_type(gguf.GGMLQuantizationType(number).name) is kind


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
    header = read_header(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1.5 * path.stat().st_size
    tokens = header.metadata["tokenizer.ggml.tokens"].value
    assert isinstance(tokens, MetadataArray)
    assert tokens.strings()[count - 1] == b"token149999"


# --- Fields that are wrong, one at a time. A small file is put together by hand, so that any field can be.


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def key(name: bytes, kind: int, payload: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + payload


def info(name: bytes, extents: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(extents)}Q", len(extents), *extents)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def build(
    keys: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    num_tensors: int | None = None,
    num_keys: int | None = None,
    data: bytes = bytes(4096),
) -> bytes:
    counts = (
        len(tensors) if num_tensors is None else num_tensors,
        len(keys) if num_keys is None else num_keys,
    )
    head = magic + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)
    return head.ljust(math.ceil(len(head) / 32) * 32, b"\0") + data


STRING, ARRAY, BOOL, UINT32, INT32 = 8, 9, 7, 4, 5
HUGE = 2**64 - 1
WRONG = {
    "magic": (build(magic=b"GGML"), "magic"),
    "big endian": (build(version=0x03000000), "big endian"),
    "version 1": (build(version=1), "version: 1"),
    "version 4": (build(version=4), "version: 4"),
    "tensor count": (build(num_tensors=HUGE), "tensor count"),
    "tensor count over the file": (build(num_tensors=1000), "tensor count: 1000 cannot fit"),
    "key count": (build(num_keys=HUGE), "key count"),
    "key count over the file": (build(num_keys=1000), "key count: 1000 cannot fit"),
    "key length": (build((text(b"", HUGE),)), "key 0: length"),
    "key past the end": (build((text(b"", 60000),)), "key 0: needs 60000 bytes"),
    "empty key": (build((key(b"", UINT32, bytes(4)),)), "key 0: empty"),
    "key with NUL": (build((key(b"a\0b", UINT32, bytes(4)),)), "key 0: contains a NUL"),
    "key not UTF-8": (build((key(b"\xff", UINT32, bytes(4)),)), "key 0: not UTF-8"),
    "duplicate key": (build((key(b"a", UINT32, bytes(4)),) * 2), "a: duplicate key"),
    "value type": (build((key(b"a", 13, bytes(8)),)), "a: unknown value type 13"),
    "bool": (build((key(b"a", BOOL, b"\2"),)), "a: a bool must be 0 or 1"),
    "string length": (build((key(b"a", STRING, text(b"", HUGE)),)), "a: length"),
    "string not UTF-8": (build((key(b"a", STRING, text(b"\xc3\x28")),)), "a: not UTF-8"),
    "array of arrays": (build((key(b"a", ARRAY, struct.pack("<IQ", ARRAY, 1)),)), "a: an array of arrays"),
    "array type": (build((key(b"a", ARRAY, struct.pack("<IQ", 99, 1)),)), "a: unknown value type 99"),
    "array count": (
        build((key(b"a", ARRAY, struct.pack("<IQ", UINT32, HUGE)),)),
        "a: 18446744073709551615 array",
    ),
    "array past the end": (
        build((key(b"a", ARRAY, struct.pack("<IQ", UINT32, 2000)),)),
        "a: needs 8000 bytes",
    ),
    "strings past the end": (build((key(b"a", ARRAY, struct.pack("<IQ", STRING, 2000)),)), "a: needs 16000"),
    "string in array": (
        build((key(b"a", ARRAY, struct.pack("<IQ", STRING, 2) + text(b"", HUGE)),)),
        "a: a string of the array runs past",
    ),
    "alignment 0": (
        build((key(b"general.alignment", UINT32, struct.pack("<I", 0)),)),
        "general.alignment: 0",
    ),
    "alignment 48": (
        build((key(b"general.alignment", UINT32, struct.pack("<I", 48)),)),
        "general.alignment: 48",
    ),
    "alignment 8192": (
        build((key(b"general.alignment", UINT32, struct.pack("<I", 8192)),)),
        "general.alignment: 8192",
    ),
    "alignment type": (build((key(b"general.alignment", INT32, struct.pack("<i", 32)),)), "must be UINT32"),
    "split": (
        build((key(b"split.count", 2, struct.pack("<H", 3)),)),
        "split.count: one of 3 parts",
    ),
    "tensor name length": (build((), (info(b"x" * 64),)), "tensor 0: name: length 64"),
    "tensor name NUL": (build((), (info(b"x\0"),)), "tensor 0: name: contains a NUL"),
    "duplicate tensor": (build((), (info(b"x"), info(b"x", offset=32))), "tensor x: duplicate"),
    "no dimensions": (build((), (info(b"x", ()),)), "tensor x: 0 dimensions"),
    "five dimensions": (build((), (info(b"x", (1, 1, 1, 1, 1)),)), "tensor x: 5 dimensions"),
    "dimension 0": (build((), (info(b"x", (4, 0)),)), "tensor x: dimension 1: 0 is not"),
    "dimension 2^63": (build((), (info(b"x", (2**63,)),)), "tensor x: dimension 0"),
    "overflowing product": (build((), (info(b"x", (2**32, 2**32)),)), "tensor x: shape"),
    "overflowing bytes": (build((), (info(b"x", (2**62,)),)), "tensor x: shape"),
    "tensor type": (build((), (info(b"x", kind=43),)), "tensor x: type: unknown tensor type 43"),
    "removed tensor type": (build((), (info(b"x", kind=4),)), "tensor x: type: unknown tensor type 4"),
    "row of half a block": (build((), (info(b"x", (48,), kind=8),)), "tensor x: 48 elements"),
    "unaligned offset": (build((), (info(b"x", offset=16),)), "tensor x: offset: 16 is no multiple"),
    "overlap": (build((), (info(b"x"), info(b"y", offset=0))), "tensor y: offset: 0 overlaps"),
    "gap": (build((), (info(b"x"), info(b"y", offset=64))), "tensor y: offset: 64 leaves a gap"),
    "past the end": (build((), (info(b"x", (2000,)),)), "tensor x: ends at byte"),
    "truncated": (build((), (info(b"x"),), data=bytes(15)), "tensor x: ends at byte"),
    "short": (b"GGUF", "file: 4 bytes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_field_is_named(name: str, tmp_path: Path) -> None:
    content, expected = WRONG[name]
    path = tmp_path / "wrong.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {expected}") or expected in message
    assert "\n" not in message


def test_the_file_that_the_wrong_ones_are_made_from_is_right(tmp_path: Path) -> None:
    path = tmp_path / "right.gguf"
    keys = (key(b"a", BOOL, b"\1"), key(b"b", ARRAY, struct.pack("<IQ", STRING, 1) + text(b"\xff")))
    path.write_bytes(build(keys, (info(b"x"), info(b"y", (32, 2), 8, 32))))
    header = read_header(path)
    assert header.metadata["a"] == MetadataValue(ValueType.BOOL, True)
    assert [(found.shape, found.size_bytes) for found in header.tensors] == [((4,), 16), ((2, 32), 68)]


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "missing", tmp_path / "nul\0"):
        with pytest.raises(ModelFileError):
            read_header(path)


# --- Fuzzing: whatever happens to a valid file, it is read or refused.

edits = st.lists(
    st.tuples(
        st.sampled_from(("flip", "truncate", "insert", "word", "remove")),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.integers(0, 255), st.sampled_from((2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1))),
    ),
    min_size=1,
    max_size=4,
)


def mutate(content: bytes, head_bytes: int, kind: str, where: float, value: int) -> bytes:
    position = int(where * min(head_bytes, len(content)))
    match kind:
        case "flip":
            return content[:position] + bytes([value & 255]) + content[position + 1 :]
        case "truncate":
            return content[: int(where * len(content))]
        case "insert":
            return content[:position] + bytes(value & 63) + content[position:]
        case "remove":
            return content[:position] + content[position + (value & 63) :]
    return content[:position] + struct.pack("<Q", value) + content[position + 8 :]


@settings(max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits)
def test_a_mutated_file_is_read_or_refused(tiny: Path, tmp_path: Path, changes: list[tuple[str, float, int]]) -> None:
    content, head_bytes = tiny.read_bytes(), read_header(tiny).data_start
    for change in changes:
        content = mutate(content, head_bytes, *change)
    path = tmp_path / "mutated.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        header = read_header(path)
    except ModelFileError as error:
        assert str(error).startswith(f"{path}: ")
    else:
        for value in header.metadata.values():
            if isinstance(value.value, MetadataArray) and value.value.element_type is ValueType.STRING:
                assert len(value.value.strings()) == value.value.count
        with suppress(UsageError):
            cut(check(header), 0, 1)
        last = header.tensors[-1:]
        assert all(header.data_start + found.offset + found.size_bytes <= len(content) for found in last)
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak_bytes < 4 << 20


def test_the_beginning_of_a_header_asks_for_more(tmp_path: Path) -> None:
    """Whatever is asked for is needed: so a header that is fetched in ranges costs no more than it must."""
    path = write_tiny(tmp_path / "m.gguf", TinyModel())
    data, whole = path.read_bytes(), read_header(path)
    for length in (*range(0, whole.data_start - 31, 7), whole.data_start - 32):
        with pytest.raises(HeaderIncomplete) as caught:
            parse_header(memoryview(data)[:length], "m", len(data))
        assert length < caught.value.needed_bytes <= whole.data_start
    found = parse_header(memoryview(data)[: whole.data_start], "m", len(data))
    assert (found.tensors, found.metadata, found.data_start) == (whole.tensors, whole.metadata, whole.data_start)
