"""Exchange of memory with other libraries."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import ggml

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "int32", "int64"])
def test_both_ways_without_a_copy(name: str) -> None:
    there = torch.arange(12).reshape(3, 4).to(getattr(torch, name))
    here = ggml.from_dlpack(there)
    assert here.data_ptr() == there.data_ptr()
    assert here.dtype.name == name
    back = torch.from_dlpack(here)
    assert back.data_ptr() == there.data_ptr()
    assert torch.equal(back, there)


def test_numpy_shares_memory() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = ggml.from_numpy(array)
    assert x.data_ptr() == array.ctypes.data
    array[0, 0] = 7
    assert (x + 0)[0, 0].item() == 7
    assert np.shares_memory(x.numpy(), array)


def test_strides_of_every_kind() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4)
    for view in (x.permute(2, 0, 1), x[:, ::2], x[:, 1:2].expand(2, 5, 4), x.transpose(1, 2)[..., 1:]):
        assert torch.equal(torch.from_dlpack(ggml.from_dlpack(view)), view)
    backwards = np.arange(10, dtype=np.int64)[::-2]
    assert ggml.from_dlpack(backwards).tolist() == backwards.tolist()


def test_a_copy_that_was_forbidden() -> None:
    with pytest.raises(BufferError):
        ggml.from_dlpack(torch.zeros(3, 4).T, copy=False)
    with pytest.raises(BufferError):
        ggml.from_dlpack(torch.zeros(3, dtype=torch.bool), copy=False)
    x = torch.zeros(3)
    assert ggml.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()
    assert ggml.from_dlpack(x, copy=False).data_ptr() == x.data_ptr()


def test_a_bool_without_axes() -> None:
    one = ggml.ones(()) > 0
    assert isinstance(one.numpy(), np.ndarray)
    assert one.numpy().shape == ()
    assert np.from_dlpack(one) == np.bool_(True)
    assert torch.from_dlpack(one).item() is True


def test_wishes_of_the_consumer() -> None:
    x = ggml.arange(4.0)
    assert torch.from_dlpack(x.__dlpack__(max_version=(1, 0))).tolist() == [0, 1, 2, 3]
    assert torch.from_dlpack(x.__dlpack__()).tolist() == [0, 1, 2, 3]
    copied = torch.from_dlpack(x.__dlpack__(copy=True))
    assert copied.data_ptr() != x.data_ptr()
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0))
    assert x.__dlpack_device__() == (1, 0)
    assert torch.from_dlpack(x > 1).tolist() == [False, False, True, True]
    with pytest.raises(BufferError):
        (x > 1).__dlpack__(copy=False)


def test_types_that_are_not_here() -> None:
    with pytest.raises(ggml.DTypeError, match="astype"):
        ggml.from_numpy(np.zeros(3))
    with pytest.raises(ggml.DTypeError):
        ggml.from_dlpack(torch.zeros(3, dtype=torch.complex64))
    with pytest.raises(ggml.DTypeError):
        ggml.from_dlpack(object())


def test_quantised_memory_is_offered_raw() -> None:
    raw = bytes(range(34)) * 2
    x = ggml.from_buffer(raw, dtype=ggml.q8_0, shape=(2, 32))
    assert x.raw_bytes() == raw
    with pytest.raises(BufferError, match="raw_bytes"):
        x.__dlpack__()
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.from_buffer(raw, dtype=ggml.q8_0, shape=(2, 33))
    with pytest.raises(ggml.DTypeError):
        x + 1


def test_memory_outlives_its_first_owner() -> None:
    x = ggml.from_dlpack(torch.full((1000,), 3.0))
    gc.collect()
    assert x.sum().item() == 3000
    there = torch.from_dlpack(ggml.full((1000,), 2.0) * 2)
    gc.collect()
    assert float(there.sum()) == 4000


def test_memory_at_any_address() -> None:
    raw = np.zeros(4 * 100 + 3, np.uint8)
    for shift in (0, 1, 2, 3):
        x = ggml.from_buffer(raw[shift : shift + 400], dtype=ggml.float32)
        assert (x + 1).sum().item() == 100
        assert x.exp().sum().item() == 100
