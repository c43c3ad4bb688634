"""Named arrays and their parts: what goes in comes out, and what does not fit is refused before room is made."""

from __future__ import annotations

import numpy as np
import pytest

from cluster.api.errors import UsageError
from cluster.messages.program import Array
from cluster.wire import limits
from cluster.wire.codec.arrays import ITEM_BYTES, ArraysAssembly, array_parts
from protos.arrays_pb2 import ArrayHeader, ArraysPart


def array(*shape: int, dtype: str = "float32", seed: int = 0) -> Array:
    size = int(np.prod(shape, dtype=np.int64)) * ITEM_BYTES[dtype]
    return Array(dtype, shape, np.random.default_rng(seed).integers(0, 256, size, np.uint8))


def assembled(parts: list[ArraysPart]) -> dict[str, Array]:
    found = ArraysAssembly("array", parts[0].arrays)
    for part in parts:
        found.add(part.data)
    assert found.is_complete
    return found.take()


def check_round_trip(arrays: dict[str, Array]) -> list[ArraysPart]:
    parts = [ArraysPart.FromString(part.SerializeToString()) for part in array_parts(arrays)]
    assert all(len(part.data) <= limits.PART_BYTES for part in parts)
    assert not any(part.arrays for part in parts[1:])
    found = assembled(parts)
    assert list(found) == list(arrays)
    for name, one in arrays.items():
        assert (found[name].dtype, found[name].shape) == (one.dtype, one.shape)
        np.testing.assert_array_equal(found[name].data, one.data)
    return parts


@pytest.mark.parametrize("dtype", ITEM_BYTES)
def test_each_dtype_comes_back(dtype: str) -> None:
    check_round_trip({"x": array(3, 2, dtype=dtype)})


def test_arrays_keep_their_order_and_their_own_bytes() -> None:
    check_round_trip({"z": array(5, dtype="bool"), "a": array(2, 3, dtype="int64", seed=1), "m": array(seed=2)})


def test_small_arrays_travel_together() -> None:
    assert len(check_round_trip({f"x{number}": array(7, seed=number) for number in range(100)})) == 1


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_an_array_about_as_long_as_a_part(more: int) -> None:
    parts = check_round_trip({"x": array(limits.PART_BYTES + more, dtype="bool")})
    assert len(parts) == (2 if more > 0 else 1)


def test_arrays_longer_than_parts_between_short_ones() -> None:
    long = 2 * limits.PART_BYTES + 12
    given = {"a": array(3), "b": array(long // 4, seed=1), "c": array(0, 4), "d": array(limits.PART_BYTES // 4, seed=2)}
    assert len(check_round_trip(given)) >= 4


@pytest.mark.parametrize("arrays", [{}, {"x": array(0)}, {"x": array(3, 0, 2), "y": array(0, dtype="bool")}])
def test_what_has_no_elements_is_one_part(arrays: dict[str, Array]) -> None:
    assert len(check_round_trip(arrays)) == 1


def test_data_may_be_cut_anywhere() -> None:
    given = {"x": array(5, dtype="int64"), "y": array(3, dtype="float16", seed=1)}
    (part,) = array_parts(given)
    found = ArraysAssembly("array", part.arrays)
    for byte in part.data:
        assert not found.is_complete
        found.add(bytes([byte]))
    taken = found.take()
    for name, one in given.items():
        np.testing.assert_array_equal(taken[name].data, one.data)


HOSTILE = {
    "more arrays than a call has": (
        [ArrayHeader(name=str(number), dtype="bool") for number in range(limits.MAX_ARRAYS + 1)],
        "over the limit",
    ),
    "a name twice": ([ArrayHeader(name="x", dtype="bool")] * 2, "two of one name"),
    "a long name": ([ArrayHeader(name="x" * (limits.MAX_NAME_CHARS + 1), dtype="bool")], r"array\.name"),
    "an unknown dtype": ([ArrayHeader(name="x", dtype="object")], "unknown dtype 'object'"),
    "no dtype": ([ArrayHeader(name="x")], "unknown dtype ''"),
    "a dtype that is an essay": ([ArrayHeader(name="x", dtype="é" * 10_000)], "unknown dtype"),
    "too many axes": ([ArrayHeader(name="x", dtype="bool", shape=[1] * (limits.MAX_RANK + 1))], "shape"),
    "one that is too long": ([ArrayHeader(name="x", dtype="int64", shape=[limits.MAX_CALL_BYTES // 8 + 1])], "bytes"),
    "a product that would overflow": ([ArrayHeader(name="x", dtype="bool", shape=[1 << 32, 1 << 32])], "bytes"),
    "the largest extents": ([ArrayHeader(name="x", dtype="int64", shape=[(1 << 64) - 1] * 8)], "bytes"),
    "none of huge rows": ([ArrayHeader(name="x", dtype="bool", shape=[0, 1 << 63])], "bytes"),
    "together too long": (
        [ArrayHeader(name=name, dtype="bool", shape=[limits.MAX_CALL_BYTES // 2 + 1]) for name in "xy"],
        r"arrays\.bytes",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_refused(name: str) -> None:
    headers, why = HOSTILE[name]
    with pytest.raises(UsageError, match=why) as error:
        ArraysAssembly("array", headers)
    assert len(str(error.value)) < 2000


def test_more_data_than_announced_is_refused() -> None:
    found = ArraysAssembly("array", [ArrayHeader(name="x", dtype="int32", shape=[2])])
    found.add(b"12345")
    with pytest.raises(UsageError, match="4 bytes where 3 are missing"):
        found.add(b"6789")
    with pytest.raises(UsageError, match="a part without data; 3 bytes are missing"):
        found.add(b"")
    found.add(b"678")
    with pytest.raises(UsageError, match="1 bytes where 0 are missing"):
        found.add(b"9")
    assert found.take()["x"].data.tobytes() == b"12345678"
