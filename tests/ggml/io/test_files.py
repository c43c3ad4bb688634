"""Tensors in GGUF files: what is written is read, byte for byte; hostile files are refused."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ggml
from ggml import nn
from ggml.core import dtypes
from ggml.io import naming
from tests.ggml.gguf.hostile import BOOL, ONLY_FOR_LIBLLAMA, PARTS, STRING, WRONG, build, info, key, text

ONE_AT_A_TIME = [HealthCheck.function_scoped_fixture]


def _tensor(shape: tuple[int, ...], dtype: ggml.DType, seed: int = 0) -> ggml.Tensor:
    """Random bytes, so that NaNs with odd bits are among them."""
    rng = np.random.default_rng(seed)
    count = int(np.prod(shape, dtype=np.int64))
    if dtype is ggml.bool:
        return ggml.from_numpy(np.array(rng.random(shape) < 0.5))
    raw = rng.integers(0, 256, dtype.num_bytes(count), dtype=np.uint8)
    return ggml.from_buffer(raw.tobytes(), dtype=dtype, count=count, shape=shape)


def _same(found: ggml.Tensor, expected: ggml.Tensor) -> None:
    assert found.dtype is expected.dtype and found.shape == expected.shape
    assert found.raw_bytes() == expected.raw_bytes()


@settings(max_examples=40, derandomize=True, suppress_health_check=ONE_AT_A_TIME)
@given(data=st.data())
def test_what_is_saved_is_loaded(tmp_path: Path, data: st.DataObject) -> None:
    names = data.draw(
        st.lists(st.one_of(st.text(max_size=5), st.text("ab.", min_size=60, max_size=70)), min_size=1, unique=True)
    )
    saved = {}
    for place, name in enumerate(names):
        if any(0xD800 <= ord(letter) < 0xE000 for letter in name):
            continue
        dtype = data.draw(st.sampled_from(list(dtypes.ALL.values())))
        shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=8)))
        if dtype.is_quantized:
            shape = (*shape[:7], data.draw(st.integers(0, 2)) * dtype.block)
        saved[name] = _tensor(shape, dtype, place)
    ggml.save(saved, tmp_path / "state.gguf")
    found = ggml.load(tmp_path / "state.gguf")
    assert list(found) == list(saved)
    for name, value in saved.items():
        _same(found[name], value)
    assert os.listdir(tmp_path) == ["state.gguf"]


@pytest.mark.parametrize("dtype", list(dtypes.ALL.values()), ids=str)
def test_every_dtype(tmp_path: Path, dtype: ggml.DType) -> None:
    saved = {"x": _tensor((3, 2 * dtype.block), dtype)}
    ggml.save(saved, tmp_path / "x.gguf")
    _same(ggml.load(tmp_path / "x.gguf")["x"], saved["x"])


def test_other_readers_read_it(tmp_path: Path) -> None:
    from gguf import GGUFReader

    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    net.save_gguf(tmp_path / "net.gguf")
    found = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "net.gguf").tensors}
    assert list(found) == list(net.state_dict())
    np.testing.assert_array_equal(found["0.weight"].data, net[0].weight.numpy())


def test_a_file_of_the_gguf_package_is_read(tmp_path: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "other.gguf", "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc"])
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_float32("some.float", 0.5)
    writer.add_tensor("w", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("v", np.arange(6, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = nn.load_gguf(tmp_path / "other.gguf")
    assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["v"].dtype is ggml.float16 and found["v"].tolist() == [0, 1, 2, 3, 4, 5]


def test_modules(tmp_path: Path) -> None:
    def net() -> Any:
        return nn.Sequential(nn.Linear(32, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))

    path = tmp_path / "net.gguf"
    saved = net()
    saved[0].weight = nn.Parameter(_tensor((4, 32), ggml.q8_0))
    saved[2].bfloat16()
    saved.save_gguf(path)
    exact = net()
    assert repr(exact.load_gguf(path)) == "<All keys matched successfully>"
    for name, value in saved.state_dict().items():
        _same(exact.state_dict()[name], value)
    wide = net()
    wide.load_gguf(path, assign=False)
    assert wide[0].weight.dtype is ggml.float32 and wide[2].weight.dtype is ggml.float32
    np.testing.assert_array_equal(wide[0].weight.numpy(), saved[0].weight.float().numpy())
    with pytest.raises(ggml.StateDictError):
        nn.Linear(3, 4).load_gguf(path)
    assert nn.Linear(3, 4).load_gguf(path, strict=False).missing_keys == ["weight", "bias"]


def test_arrays_of_others_and_bools(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    ggml.save({"a": np.arange(3), "b": np.array([True, False])}, path)
    found = ggml.load(str(path), map_location="cpu", weights_only=True)
    assert found["a"].tolist() == [0, 1, 2] and found["b"].tolist() == [True, False]


def test_what_is_written_into_a_loaded_tensor_stays_out_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    ggml.save({"x": ggml.zeros(4)}, path)
    ggml.load(path)["x"].numpy()[:] = 1
    assert ggml.load(path)["x"].tolist() == [0, 0, 0, 0]


def test_a_file_is_replaced_while_it_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    ggml.save({"x": ggml.zeros(1000)}, path)
    kept = ggml.load(path)
    ggml.save({name: value + 1 for name, value in kept.items()}, path)
    os.symlink(path, tmp_path / "link")
    ggml.save({"x": ggml.load(path)["x"] + 1}, tmp_path / "link")
    assert kept["x"].sum().item() == 0 and ggml.load(path)["x"].sum().item() == 2000
    assert sorted(os.listdir(tmp_path)) == ["link", "x.gguf"] and os.path.islink(tmp_path / "link")


# What fails leaves no file, and the old one as it was


def test_a_failing_save_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.gguf"
    ggml.save({"x": ggml.zeros(4)}, path)
    before = path.read_bytes()
    late = ggml.arange(3).index_select(0, ggml.tensor([7]))  # shows while it is written
    with pytest.raises(ggml.IndexOutOfRangeError):
        ggml.save({"x": ggml.ones(4), "late": late}, path)
    for step in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, step, _no_space)
            with pytest.raises(OSError, match="no space"):
                ggml.save({"x": ggml.ones(4)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.gguf"]
    with pytest.raises(OSError):
        ggml.save({"x": ggml.ones(1)}, tmp_path / "none" / "x.gguf")


def _no_space(*_: Any) -> None:
    raise OSError(28, "no space left")


@pytest.mark.parametrize(
    "obj", [3, [ggml.ones(1)], {"x": 3}, {"x": {"y": ggml.ones(1)}}, {3: ggml.ones(1)}, {"\ud800": ggml.ones(1)},
            {"x" * 70000: ggml.ones(1)}, {"x": np.ones(2, np.float64)}, nn.Linear(1, 1)],
    ids=lambda obj: ascii(obj)[:20],
)  # fmt: skip
def test_what_is_no_state_is_refused(tmp_path: Path, obj: Any) -> None:
    with pytest.raises(ggml.GgmlError):
        ggml.save(obj, tmp_path / "x.gguf")
    assert os.listdir(tmp_path) == []


def test_paths_only(tmp_path: Path) -> None:
    for bad in (3, b"x", open):
        with pytest.raises(ggml.DTypeError):
            ggml.load(bad)
        with pytest.raises(ggml.DTypeError):
            ggml.save({}, bad)
    with pytest.raises(FileNotFoundError):
        ggml.load(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises((ggml.FileFormatError, OSError)):
        ggml.load(tmp_path / "pipe")
    with pytest.raises((ggml.FileFormatError, OSError)):
        ggml.load(tmp_path)


# Hostile files


def _with_state(value: Any) -> bytes:
    raw = (value if isinstance(value, str) else json.dumps(value)).encode()
    return build((key(naming.KEY.encode(), STRING, text(raw)),), (info(b"x"),))


HOSTILE = {
    **{name: content for name, (content, _) in WRONG.items() if name not in ONLY_FOR_LIBLLAMA | PARTS},
    "huge and empty": build((), (info(b"x", (1 << 62, 0)),)),
    "int8": build((), (info(b"x", kind=24),)),
    "int16, which no dtype is": build((), (info(b"x", kind=25),)),
    "block without axes": build((), (info(b"x", (), 8),)),
    "no JSON": _with_state("[[["),
    "deep JSON": _with_state("[" * 100000),
    "JSON of another kind": _with_state({"x": 1}),
    "state is no text": build((key(naming.KEY.encode(), BOOL, b"\1"),), (info(b"x"),)),
    "entry": _with_state([3]),
    "entry of three": _with_state([["x", "x", "float32"]]),
    "entry of other types": _with_state([[1, 2, 3, 4]]),
    "entry with bool extent": _with_state([["x", "x", "float32", [True, 4]]]),
    "entry with negative extent": _with_state([["x", "x", "float32", [-4, -1]]]),
    "entry with nine axes": _with_state([["x", "x", "float32", [1] * 8 + [4]]]),
    "entry with unknown dtype": _with_state([["x", "x", "float9", [4]]]),
    "entry with another dtype": _with_state([["x", "x", "int32", [4]]]),
    "entry with another shape": _with_state([["x", "x", "float32", [5]]]),
    "entry without data": _with_state([["x", "x", "float32", [4]], ["y", None, "float32", [4]]]),
    "entry of nothing": _with_state([["x", "z", "float32", [4]]]),
    "tensor without entry": _with_state([]),
    "entry twice": _with_state([["x", "x", "float32", [4]], ["x", None, "float32", [0]]]),
    "two of one": _with_state([["x", "x", "float32", [4]], ["y", "x", "float32", [4]]]),
    "entry empty and huge": _with_state([["x", "x", "float32", [4]], ["y", None, "float32", [0, 1 << 61]]]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(ggml.FileFormatError) as caught:
        ggml.load(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1000
    layer = nn.Linear(2, 2)
    before = layer.weight.tolist()
    with pytest.raises(ggml.FileFormatError):
        layer.load_gguf(path)
    assert layer.weight.tolist() == before


def test_the_good_file_of_those_is_good(tmp_path: Path) -> None:
    plain = (info(b"x"),)
    good = (build((), plain), build((key(b"k", BOOL, b"\1"),), plain), _with_state([["y", "x", "float32", [4]]]))
    for content in good:
        (tmp_path / "x.gguf").write_bytes(content)
        assert next(iter(ggml.load(tmp_path / "x.gguf").values())).tolist() == [0, 0, 0, 0]


@settings(max_examples=300, derandomize=True, suppress_health_check=ONE_AT_A_TIME)
@given(data=st.data())
def test_changed_files_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = _saved(tmp_path)
    change: Callable[[bytes], bytes] = data.draw(st.sampled_from([_cut, _flipped, _overwritten]))(data, len(whole))
    path = tmp_path / "changed.gguf"
    path.write_bytes(change(whole))
    try:
        found = ggml.load(path)
    except ggml.FileFormatError:
        return
    for value in found.values():
        value.raw_bytes()


def _saved(folder: Path) -> bytes:
    path = folder / "whole.gguf"
    if not path.exists():
        ggml.save({"a": ggml.ones(2, 3), "b": ggml.tensor(True), "q": _tensor((2, 32), ggml.q4_0)}, path)
    return path.read_bytes()


def _cut(data: st.DataObject, size: int) -> Callable[[bytes], bytes]:
    end = data.draw(st.integers(0, size))
    return lambda raw: raw[:end]


def _flipped(data: st.DataObject, size: int) -> Callable[[bytes], bytes]:
    places = data.draw(st.lists(st.integers(0, min(size, 400) - 1), min_size=1, max_size=3))
    value = data.draw(st.integers(1, 255))
    return lambda raw: bytes(byte ^ value if place in places else byte for place, byte in enumerate(raw))


def _overwritten(data: st.DataObject, size: int) -> Callable[[bytes], bytes]:
    at = data.draw(st.integers(0, min(size, 400) - 8))
    new = struct.pack("<Q", data.draw(st.sampled_from([0, 1, 1 << 31, (1 << 63) - 1, (1 << 64) - 1])))
    return lambda raw: raw[:at] + new + raw[at + 8 :]
