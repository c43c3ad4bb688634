"""Memory that others write to: results belong to the moment of the call, and read-only memory stays as it is."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

COUNTS = range(4)


def of_torch(buffer: Any) -> Any:
    return torch.from_numpy(buffer)


#: Every way in that shares memory: a function of a float32 array [2, 4] to a tensor over it.
WAYS_IN: dict[str, Callable[[Any], ggml.Tensor]] = {
    "from_numpy": ggml.from_numpy,
    "as_tensor": ggml.as_tensor,
    "from_dlpack": ggml.from_dlpack,
    "dlpack of torch": lambda buffer: ggml.from_dlpack(of_torch(buffer)),
    "as_tensor of torch": lambda buffer: ggml.as_tensor(of_torch(buffer)),
    "from_buffer": lambda buffer: ggml.from_buffer(buffer, dtype=ggml.float32).reshape(2, 4),
    "memoryview": lambda buffer: ggml.frombuffer(memoryview(buffer), dtype=ggml.float32).reshape(2, 4),
    "read-only look": lambda buffer: ggml.from_numpy(_locked(buffer)),
    "detached": lambda buffer: ggml.from_numpy(buffer).detach(),
    "parameter": lambda buffer: nn.Parameter(ggml.from_numpy(buffer)),
    "no conversion": lambda buffer: ggml.from_numpy(buffer).float().to("cpu").contiguous(),
}

#: What PyTorch computes when it is called: a function of a tensor [2, 4] of one of the two libraries.
READERS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (x * 10).sum() / 8,
    "clone": lambda x: x.clone(),
    "to(copy)": lambda x: x.to(x.dtype, copy=True),
    "cast": lambda x: x.long(),
    "view, then arithmetic": lambda x: x.T[1:] + 1,
    "copying reshape": lambda x: x.T.reshape(-1),
    "copying contiguous": lambda x: x.T.contiguous(),
    "flip": lambda x: x.flip(0),
    "product": lambda x: x @ x.T,
    "comparison": lambda x: x > 1,
    "softmax": lambda x: x.softmax(-1),
    "stack": lambda x: type(x).new_full and _stacked(x),
    "index": lambda x: x[_places(x)],
}

#: What looks at the memory in PyTorch, too.
VIEWS: dict[str, Callable[[Any], Any]] = {
    "slice": lambda x: x[1:, ::2],
    "transpose": lambda x: x.T,
    "reshape": lambda x: x.reshape(4, 2),
    "contiguous": lambda x: x.reshape(8).contiguous(),
    "expand": lambda x: x[:1].expand(3, 4),
    "detach": lambda x: x.detach(),
}


def _locked(buffer: Any) -> Any:
    look = buffer.view()
    look.flags.writeable = False
    return look


def _module(x: Any) -> Any:
    return ggml if isinstance(x, ggml.Tensor) else torch


def _stacked(x: Any) -> Any:
    return _module(x).stack([x, x])


def _places(x: Any) -> Any:
    return _module(x).tensor([1, 0, 1])


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_reused_buffer_gives_each_result_its_own_content(way: str) -> None:
    buffer = np.zeros((2, 4), np.float32)
    results = []
    for step in COUNTS:
        buffer[:] = step
        results.append((WAYS_IN[way](buffer) * 10).sum() / 8)
    assert [result.item() for result in results] == [0, 10, 20, 30]


@pytest.mark.parametrize("reader", READERS)
def test_what_torch_computes_at_once_keeps_its_content(reader: str) -> None:
    """One tensor, whose memory changes under it."""
    results = []
    for library in (ggml, torch):
        buffer = np.zeros((2, 4), np.float32)
        x = library.from_numpy(buffer)
        found = []
        for step in COUNTS:
            buffer[:] = step + np.arange(4)
            found.append(READERS[reader](x))
        results.append([one.tolist() for one in found])
    assert results[0] == results[1]


@pytest.mark.parametrize("view", VIEWS)
def test_views_go_on_looking_however_often_they_are_looked_at(view: str) -> None:
    buffer = np.arange(8, dtype=np.float32).reshape(2, 4)
    seen, wanted = VIEWS[view](ggml.from_numpy(buffer)), VIEWS[view](torch.from_numpy(buffer))
    for step in COUNTS:
        buffer += step
        assert seen.tolist() == wanted.tolist()
        ggml.eval(seen)


def test_a_mapped_file_that_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(np.zeros(4, np.float32).tobytes())
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        x = ggml.frombuffer(mapped, dtype=ggml.float32)
        results = []
        for step in COUNTS:
            mapped[:] = np.full(4, step, np.float32).tobytes()
            results.append(x + 1)
        assert [one.tolist() for one in results] == [[step + 1] * 4 for step in COUNTS]
        del x, results


def test_quantised_bytes_that_are_written_to() -> None:
    blocks = [ggml.quantization.quantize(ggml.full((1, 32), float(step)), ggml.q8_0).raw_bytes() for step in COUNTS]
    raw = bytearray(blocks[0])
    x = ggml.from_buffer(raw, dtype=ggml.q8_0, shape=(1, 32))
    kept = []
    for block in blocks:
        raw[:] = block
        kept.append((x.to("cpu", copy=True), x.float(), nn.functional.linear(ggml.ones(1, 32), x)))
    for step, (clone, wide, product) in enumerate(kept):
        assert ggml.quantization.dequantize(clone).mean().item() == pytest.approx(step, rel=1e-3)
        assert wide.mean().item() == pytest.approx(step, rel=1e-3)
        assert product.item() == pytest.approx(32 * step, rel=1e-2)


def test_tensor_copies_whatever_it_is_given() -> None:
    buffer = np.zeros(3, np.float32)
    made = [ggml.tensor(buffer), ggml.tensor(ggml.from_numpy(buffer)), ggml.tensor(memoryview(buffer))]
    buffer[:] = 7
    assert all(one.tolist() == [0, 0, 0] for one in made)


def test_a_state_dict_is_copied_or_shared_as_asked() -> None:
    for give in (lambda array: array, torch.from_numpy, ggml.from_numpy, lambda array: ggml.from_numpy(array).T.T):
        array = np.zeros((2, 2), np.float32)
        layer = nn.Linear(2, 2, bias=False)
        layer.load_state_dict({"weight": give(array)})
        array[:] = 5
        assert layer.weight.tolist() == [[0, 0], [0, 0]]
        layer.load_state_dict({"weight": give(array)}, assign=True)
        result = layer(ggml.ones(1, 2))
        array[:] = 6
        assert result.tolist() == [[10, 10]]
        assert layer(ggml.ones(1, 2)).tolist() == [[12, 12]]


def test_compiled_functions_read_arguments_and_what_they_hold_at_each_call() -> None:
    given, held = np.zeros(3, np.float32), np.zeros(3, np.float32)
    inside = ggml.from_numpy(held)
    compiled = ggml.compile(lambda x: x + (inside * 2).exp().log())
    results = []
    for step in COUNTS:
        given[:], held[:] = step, 10 * step
        results.append(compiled(ggml.from_numpy(given)))
    for step, result in enumerate(results):
        np.testing.assert_allclose(result.numpy(), 21 * step, atol=1e-5)


# Out again


WAYS_OUT: dict[str, Callable[[ggml.Tensor], Any]] = {
    "numpy": lambda x: x.numpy(),
    "asarray": np.asarray,
    "numpy's from_dlpack": lambda x: np.from_dlpack(x),
    "torch": lambda x: torch.from_dlpack(x).numpy(),
    "detached": lambda x: x.detach().numpy(),
    "data_ptr": lambda x: _at(x.data_ptr(), x.numel()),
}


def _at(address: int, count: int) -> Any:
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_float)), (count,))


@pytest.mark.parametrize("way", WAYS_OUT)
def test_what_is_written_into_an_array_shows_from_then_on_only(way: str) -> None:
    x = ggml.ones(4) * 2
    before, copy, view = x + 1, x.clone(), x[1:]
    array = WAYS_OUT[way](x)
    array[:] = 9
    after = x + 1
    array[:] = 20
    last = ggml.compile(lambda: x * 1)() if way == "numpy" else x * 1
    assert before.tolist() == [3] * 4
    assert copy.tolist() == [2] * 4
    assert after.tolist() == [10] * 4
    assert last.tolist() == x.tolist() == [20] * 4
    assert view.tolist() == [20] * 3


def test_an_array_that_is_gone_changes_nothing_any_more() -> None:
    x = ggml.ones(4) * 2
    x.numpy()[:] = 9
    y = x + 1
    assert ggml.tensors.eval.is_lazy(y)
    assert y.tolist() == [10] * 4
    kept = x.numpy()
    assert not ggml.tensors.eval.is_lazy(x + 1)
    del kept
    assert ggml.tensors.eval.is_lazy(x + 1)


def test_a_weight_that_is_written_to_is_seen_by_compiled_functions() -> None:
    layer = nn.Linear(2, 2, bias=False)
    compiled = ggml.compile(lambda x: x + layer.weight * 2)
    first = compiled(ggml.zeros(2, 2))
    layer.weight.detach().numpy()[:] = 3
    assert compiled(ggml.zeros(2, 2)).tolist() == [[6, 6], [6, 6]]
    assert first.tolist() != [[6, 6], [6, 6]]
    array = layer.weight.detach().numpy()
    for step in COUNTS:
        array[:] = step
        assert compiled(ggml.zeros(2, 2)).tolist() == [[2 * step] * 2] * 2


def test_readers_that_cannot_be_computed_speak_up_when_they_are_asked() -> None:
    x = ggml.tensor([1, 2, 5])
    ggml.eval(x)
    wrong, right = ggml.arange(3.0)[x], x + 1
    assert x.numpy().tolist() == [1, 2, 5]
    assert right.tolist() == [2, 3, 6]
    with pytest.raises(ggml.IndexOutOfRangeError):
        wrong.tolist()


def test_the_readers_of_a_long_lived_tensor_are_forgotten() -> None:
    x = ggml.ones(2) * 3
    ggml.eval(x)
    for _ in range(1000):
        ggml.eval(x + 1)
    assert len(x._node.readers or ()) <= 128


def test_a_cache_gives_each_step_the_rows_it_had() -> None:
    cache = nn.KVCache(1, 1, 4, 2)
    sums = []
    for step in COUNTS:
        cache.reset()
        keys, _, _ = cache.update(ggml.full((1, 1, 1, 2), float(step)), ggml.ones(1, 1, 1, 2))
        sums.append(keys.sum())
    assert [one.item() for one in sums] == [0, 2, 4, 6]


# Memory that must not be written to


def read_only_array() -> Any:
    array = np.arange(8, dtype=np.float32)
    array.flags.writeable = False
    return array


def test_read_only_memory_is_read_only_outside_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    raw = np.arange(8, dtype=np.float32).tobytes()
    path.write_bytes(raw)
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    sources = {
        "array": read_only_array(),
        "bytes": np.frombuffer(raw, np.float32),
        "memmap": np.memmap(path, np.float32, mode="r"),
        "mapped": np.frombuffer(mapped, np.float32),
    }
    for name, source in sources.items():
        x = ggml.from_numpy(source)
        assert x.data_ptr() == source.ctypes.data, name
        assert not x.numpy().flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            x.numpy()[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            x.buffer().write(np.zeros(4, np.uint8))
        y = x.detach()
        y.add_(1)
        y[0] = 5
        y.zero_()
        for writable in (torch.from_dlpack(x), torch.as_tensor(np.from_dlpack(x)), x.__array__(copy=True)):
            writable[:] = 3
        with pytest.raises(BufferError, match="read-only"):
            x.__dlpack__(copy=False)
        layer = nn.Linear(8, 1, bias=False)
        layer.load_state_dict({"weight": source[None]})
        layer.weight.detach().numpy()[:] = 4
        assert x.tolist() == list(range(8)), name
    assert path.read_bytes() == raw


def test_weights_of_a_mapped_file_are_copied_when_they_are_written_to(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    ggml.save({"a": ggml.arange(8.0)}, path)
    before = path.read_bytes()
    for load in (lambda: ggml.load(path)["a"], lambda: ggml.io.gguf_file.open_gguf(path).load("a")):
        x = load()
        later = x + 1
        assert ggml.tensors.eval.is_lazy(later)
        array = x.numpy()
        array[:] = 7
        assert later.tolist() == list(range(1, 9))
        assert x.tolist() == [7] * 8
        assert load().tolist() == list(range(8))
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "q4_0", "q8_0", "q4_k", "q6_k", "iq4_nl"])
@pytest.mark.parametrize("rows", [1, 3, 4, 5])
def test_nothing_behind_borrowed_memory_is_read(name: str, rows: int) -> None:
    """The tensor ends where the process's memory ends."""
    dtype = getattr(ggml, name)
    wanted = (
        ggml.quantization.quantize(ggml.randn(rows, 256), dtype)
        if dtype.is_quantized
        else ggml.randn(rows, 256).to(dtype)
    )
    raw = wanted.raw_bytes()
    page = mmap.PAGESIZE
    room = -(-len(raw) // page) * page
    region = mmap.mmap(-1, room + page)
    base = ctypes.addressof(ctypes.c_char.from_buffer(region))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(base + room), ctypes.c_size_t(page), 0) == 0
    end = np.frombuffer(region, np.uint8, count=len(raw), offset=room - len(raw))
    end[:] = np.frombuffer(raw, np.uint8)
    x = ggml.from_buffer(end, dtype=dtype, shape=(rows, 256))
    for others in (1, 4, 7):
        given = ggml.randn(others, 256)
        want = nn.functional.linear(given, wanted)
        np.testing.assert_array_equal(nn.functional.linear(given, x).numpy(), want.numpy())
    assert x.raw_bytes() == raw
    if not dtype.is_quantized:
        assert ((x + 1).sum() - (wanted + 1).sum()).item() == 0
    ggml.backend.clear_graphs()
