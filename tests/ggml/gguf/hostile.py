"""GGUF files that are put together by hand, so that any field of them can be wrong."""

from __future__ import annotations

import math
import struct

from hypothesis import strategies as st


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
    "tensor name not UTF-8": (build((), (info(b"\xff"),)), "tensor 0: name: not UTF-8"),
    "more tensors than there are": (build((), (info(b"x"),), num_tensors=2), "tensor "),
    "short": (b"GGUF", "file: 4 bytes"),
    "empty": (b"", "file: 0 bytes"),
}

#: Those of WRONG that gguf-py may write, and that only the rules of libllama forbid.
ONLY_FOR_LIBLLAMA = {
    "empty key",
    "key with NUL",
    "tensor name length",
    "tensor name NUL",
    "no dimensions",
    "dimension 0",
}

#: Those that are sound files, but not whole models: the side that serves refuses them.
PARTS = {"split"}

# Whatever happens to a valid file, it is read or refused.

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
