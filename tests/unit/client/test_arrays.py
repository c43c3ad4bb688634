"""What callers give a program, and what they get: numpy arrays, and whatever numpy makes one of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster.api.errors import UnreachableError, UsageError
from cluster.client.arrays import RunParts, to_arrays
from cluster.messages.program import Array
from cluster.wire import limits
from cluster.wire.codec.arrays import array_parts
from protos.arrays_pb2 import ArrayHeader, ArraysPart

DTYPES = ("bool", "float32", "float16", "int32", "int64")


def back(arrays: dict[str, Array]) -> dict[str, np.ndarray]:
    found = RunParts()
    for part in array_parts(arrays):
        found.add(ArraysPart.FromString(part.SerializeToString()))
    return found.finish()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_come_back_as_they_went(dtype: str, shape: tuple[int, ...]) -> None:
    given = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    found = back(dict(to_arrays({"x": given}, {})))["x"]
    assert (found.dtype, found.shape) == (given.dtype, given.shape)
    np.testing.assert_array_equal(found, given)
    assert found.flags.writeable


def strided() -> dict[str, Any]:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    return {
        "turned": whole.T,
        "every second": whole[::2, ::3],
        "backwards": whole[::-1],
        "in columns": np.asfortranarray(whole),
        "big-endian": whole.astype(">f4"),
        "repeated": np.broadcast_to(whole[0], (3, 6)),
        "a list": whole.astype(np.int64).tolist(),
        "a number": 7,
        "a truth": True,
    }


@pytest.mark.parametrize("name", strided())
def test_elements_are_in_order_however_they_lie_in_memory(name: str) -> None:
    given = strided()[name]
    np.testing.assert_array_equal(back(dict(to_arrays({"x": given}, {})))["x"], np.asarray(given))


def test_bfloat16_comes_as_the_float32_that_it_is() -> None:
    wanted = np.array([1.5, -2.0, 0.0, np.inf, 3.0e38], np.float32)
    bits = (wanted.view(np.uint32) >> 16).astype("<u2")
    found = back({"y": Array("bfloat16", (5, 1), bits.view(np.uint8))})["y"]
    assert (found.dtype, found.shape) == (np.float32, (5, 1))
    np.testing.assert_array_equal((found[:, 0].view(np.uint32) >> 16), bits)


def test_a_tensor_of_torch_that_wants_a_gradient() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
    given = torch.arange(6.0, requires_grad=True).reshape(2, 3)
    np.testing.assert_array_equal(back(dict(to_arrays(None, {"x": given})))["x"], given.detach().numpy())


def test_arrays_by_name_and_in_a_dict_are_one_call() -> None:
    assert list(to_arrays({"a": [1]}, {"b": [2]})) == ["a", "b"]
    assert to_arrays(None, {}) == {}


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no dict": (np.zeros(3), {}, "ndarray is no dict"),
    "a name twice": ({"x": 1}, {"x": 2}, "x is given twice"),
    "rows of several lengths": ({"x": [[1], [1, 2]]}, {}, "x is no array"),
    "doubles": ({"x": np.zeros(3)}, {}, "x is float64.*astype"),
    "texts": ({"x": ["a"]}, {}, "no program takes"),
    "objects": ({"x": object()}, {}, "x is object"),
    "complex numbers": ({"x": 1j}, {}, "x is complex128"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_array_is_refused(name: str) -> None:
    arrays, named, why = WRONG[name]
    with pytest.raises(UsageError, match=why):
        to_arrays(arrays, named)


HEADER = ArrayHeader(name="x", dtype="float32", shape=[2])


def test_an_answer_that_ends_early_is_no_answer() -> None:
    with pytest.raises(UnreachableError, match="before all arrays had come"):
        RunParts().finish()
    found = RunParts()
    found.add(ArraysPart(arrays=[HEADER], data=b"1234"))
    with pytest.raises(UnreachableError, match="before all arrays had come"):
        found.finish()


def test_headers_belong_into_the_first_part() -> None:
    found = RunParts()
    found.add(ArraysPart(arrays=[HEADER], data=b"1234"))
    with pytest.raises(UsageError, match="a later part"):
        found.add(ArraysPart(arrays=[HEADER], data=b"1234"))


@pytest.mark.parametrize("shape", [[0, 1 << 63], [0] + [1 << 30] * 7, [1 << 62], [0] * (limits.MAX_RANK + 1)])
def test_shapes_that_no_array_can_have_are_refused(shape: list[int]) -> None:
    with pytest.raises(UsageError):
        RunParts().add(ArraysPart(arrays=[ArrayHeader(name="x", dtype="bool", shape=shape)]))
