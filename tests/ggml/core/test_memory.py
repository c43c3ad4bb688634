"""Arenas, closed buffers, memory that is not there, pinned memory, DLPack on a card."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml import backend


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_arena_frees_what_was_made_in_it() -> None:
    before = ggml.ones(4).contiguous()
    ggml.eval(before)
    with ggml.arena() as memory:
        x = ggml.randn(1 << 20)
        y = x * 2 + before.sum()
        kept = memory.keep((y - x).sum())
        ggml.eval(y)
        assert memory.num_bytes >= 8 << 20
    assert memory.is_closed and memory.num_bytes == 0
    assert x.buffer.__self__ is x
    for use in (
        x.numpy,
        y.tolist,
        x.data_ptr,
        y.raw_bytes,
        lambda: str(x),
        lambda: (x + 1).numpy(),
        lambda: x.cpu().item,
    ):
        with pytest.raises(ggml.ClosedTensorError):
            use()
            (x + 0).numpy()
    with pytest.raises(ValueError):
        np.from_dlpack(y)
    assert kept.numel() == 1 and kept.item() == kept.item()
    assert before.tolist() == [1, 1, 1, 1]


def test_arenas_nest() -> None:
    with ggml.arena() as outer:
        a = ggml.rand(3)
        with ggml.arena():
            b = ggml.rand(3)
            c = outer.keep(ggml.rand(3))  # of the inner one: keep() of another arena has no say
        assert a.numpy().shape == (3,)
        for one in (b, c):
            with pytest.raises(ggml.ClosedTensorError):
                one.numpy()
    with pytest.raises(ggml.ClosedTensorError):
        a.numpy()


def test_an_arena_ends_with_an_error_too() -> None:
    with pytest.raises(KeyError), ggml.arena():
        x = ggml.rand(3)
        raise KeyError
    with pytest.raises(ggml.ClosedTensorError):
        x.numpy()


def test_compiled_functions_outlive_an_arena() -> None:
    compiled = ggml.compile(lambda x: x * ggml.arange(3.0).exp())
    with ggml.arena():
        inside = compiled(ggml.ones(3)).tolist()
    assert compiled(ggml.ones(3)).tolist() == inside
    backend.clear_graphs()
    with ggml.arena():
        (ggml.ones(3) * 7).tolist()
    assert (ggml.ones(3) * 7).tolist() == [7, 7, 7]


def test_what_others_look_at_is_not_freed() -> None:
    with ggml.arena():
        x = ggml.full((1000,), 3.0).contiguous()
        array = x.numpy()
    gc.collect()
    assert array.sum() == 3000
    buffer = ggml.rand(4).buffer()
    buffer.close()
    buffer.close()
    assert buffer.is_closed
    for use in (
        lambda: buffer.data_ptr,
        lambda: buffer.read(np.empty(4, np.uint8)),
        lambda: buffer.write(np.empty(4, np.uint8)),
        lambda: buffer.view([1], 2, 32, 1, 0),
        lambda: buffer.copy_from(buffer),
        lambda: buffer.is_host,
    ):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_a_buffer_may_be_closed_while_graphs_read_it() -> None:
    for _ in range(20):
        x = ggml.rand(256, 256)
        y = x @ x
        thread = threading.Thread(target=_try, args=(y,))
        thread.start()
        x.buffer().close()
        thread.join()


def _try(tensor: ggml.Tensor) -> None:
    with contextlib.suppress(ggml.ClosedTensorError):
        assert np.isfinite(tensor.numpy()).all()


@settings(max_examples=40)
@given(st.lists(st.integers(1 << 16, 1 << 62), min_size=3, max_size=8))
def test_absurd_shapes_are_refused(shape: list[int]) -> None:
    with pytest.raises(ggml.OutOfMemoryError) as caught:
        ggml.ones(*shape).contiguous().numpy()
    error = caught.value
    assert isinstance(error, MemoryError)
    assert error.device == "cpu"
    assert error.available == ggml.device("cpu").memory_bytes[0] > 0


def test_what_was_asked_for_is_said() -> None:
    with pytest.raises(ggml.OutOfMemoryError) as caught:
        ggml.ones(1 << 20, 1 << 20).contiguous().numpy()
    assert caught.value.requested == 4 << 40
    with pytest.raises(ggml.OutOfMemoryError) as caught:
        (ggml.ones(1 << 20, 1) * ggml.ones(1 << 20)).sum().item()
    assert caught.value.requested == 4 << 40


def test_results_that_are_too_large_together_are_refused_before_they_are_made() -> None:
    total = ggml.device("cpu").memory_bytes[1]
    width = total // 4 // 4  # a quarter of the memory in float32
    x = ggml.ones(1).expand(width)
    # All six must be there at once, for the last sum needs every one.
    parts = [(x * float(i + 2)).exp() for i in range(6)]
    with pytest.raises(ggml.OutOfMemoryError) as caught:
        ggml.eval(ggml.stack([part.flip(0) for part in parts]).sum())
    assert caught.value.requested > total


def test_devices_that_are_not_here() -> None:
    x = ggml.ones(3)
    assert x.cpu() is x
    assert x.to("cpu") is x
    if ggml.devices() == (ggml.device("cpu"),):
        for move in (x.cuda, lambda: x.cuda(0), lambda: x.to("cuda"), lambda: x.to("cuda:1"), lambda: x.cuda("cuda:0")):
            with pytest.raises(ggml.ArgumentError, match="is not here; this process has cpu"):
                move()
    with pytest.raises(ggml.ArgumentError):
        x.cuda("cpu")


def test_pinning_without_a_card_is_nothing() -> None:
    x = ggml.arange(3.0)
    assert not x.is_pinned()
    if not any(one.capabilities["host_buffer"] for one in backend.infos()):
        assert x.pin_memory().data_ptr() == x.data_ptr()
        assert not x.pin_memory("cpu").is_pinned()
        assert not ggml.from_numpy(np.ones(3, np.float32)).is_pinned()


@pytest.mark.gpu
def test_dlpack_on_a_card() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not any(one.type == "cuda" for one in ggml.devices()):
        pytest.skip("ggml has no CUDA device here")
    x = ggml.arange(6.0, device="cuda").reshape(2, 3).contiguous()
    assert x.__dlpack_device__() == (2, 0)
    assert x.pin_memory is not None and x.cpu().pin_memory().is_pinned()
    for _ in range(4):  # a captured CUDA graph must not keep the addresses of an earlier run
        y = ggml.rand(8, 8)
        np.testing.assert_allclose((y.cuda() @ y.cuda()).cpu().numpy(), (y @ y).numpy(), rtol=1e-3, atol=1e-3)
    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA device here")
    shared = torch.from_dlpack(x)
    assert shared.data_ptr() == x.data_ptr() and shared.tolist() == x.tolist()
    assert ggml.from_dlpack(shared).data_ptr() == x.data_ptr()


def test_a_loop_of_5000_keeps_its_size() -> None:
    """The slope of resident memory: the second half of the loop may not add what a leak of 64 bytes a turn would."""
    step = ggml.compile(lambda x: (x * 2).tanh().sum(0))
    sizes = []
    num_threads = ggml.get_num_threads()
    ggml.set_num_threads(1)  # two that share a core wait for each other
    for turn in range(5001):
        x = ggml.tensor([[turn, 1.0]])
        step(x).numpy()
        (x @ x.T).relu().mean().item()
        with ggml.arena():
            (x + 1).numpy()
        if turn % 1000 == 0:
            gc.collect()
            sizes.append(resident_bytes())
    ggml.set_num_threads(num_threads)
    slope = np.polyfit(np.arange(4), sizes[2:], 1)[0] / 1000
    assert slope < 64, f"{slope:.0f} bytes a turn: {sizes}"
