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


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=ONE_AT_A_TIME)
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


def _text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _info(name: str | bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape[::-1], kind, offset)


def _file(
    infos: list[bytes], keys: dict[str, bytes], data: bytes, magic: bytes = b"GGUF", version: int = 3, **counts: int
) -> bytes:
    head = magic + struct.pack(
        "<IQQ", version, counts.get("num_tensors", len(infos)), counts.get("num_keys", len(keys))
    )
    head += b"".join(_text(key) + value for key, value in keys.items()) + b"".join(infos)
    return head + bytes(-len(head) % 32) + data


def _json(value: Any) -> dict[str, bytes]:
    return {naming.KEY: struct.pack("<I", 8) + _text(value if isinstance(value, str) else json.dumps(value))}


GOOD = _info("x", (4,), 0, 0)
DATA = bytes(32)
HOSTILE = {
    "empty": b"",
    "short": b"GGUF" + bytes(10),
    "magic": _file([GOOD], {}, DATA, magic=b"GGUX"),
    "version": _file([GOOD], {}, DATA, version=9),
    "big endian": _file([GOOD], {}, DATA, version=3 << 24),
    "too many tensors": _file([GOOD], {}, DATA, num_tensors=1 << 60),
    "more tensors than there are": _file([GOOD], {}, DATA, num_tensors=2),
    "too many keys": _file([GOOD], {}, DATA, num_keys=1 << 40),
    "data cut off": _file([GOOD], {}, bytes(8)),
    "offset outside": _file([_info("x", (4,), 0, 1 << 40)], {}, DATA),
    "offset of the other": _file([GOOD, _info("y", (4,), 0, 0)], {}, DATA * 2),
    "gap": _file([GOOD, _info("y", (4,), 0, 64)], {}, DATA * 4),
    "same name": _file([GOOD, _info("x", (4,), 0, 32)], {}, DATA * 2),
    "huge": _file([_info("x", (1 << 63, 1 << 63), 0, 0)], {}, DATA),
    "huge and empty": _file([_info("x", (1 << 62, 0), 0, 0)], {}, DATA),
    "wraps": _file([_info("x", (1 << 62, 4), 0, 0)], {}, DATA),
    "nine axes": _file([_info("x", (1,) * 9, 0, 0)], {}, DATA),
    "unknown type": _file([_info("x", (4,), 999, 0)], {}, DATA),
    "int8": _file([_info("x", (4,), 24, 0)], {}, DATA),
    "no whole block": _file([_info("x", (4,), 8, 0)], {}, DATA),
    "block without axes": _file([_info("x", (), 8, 0)], {}, DATA),
    "name is not UTF-8": _file([_info(b"\xff\xff", (4,), 0, 0)], {}, DATA),
    "key twice": _file([GOOD], {}, DATA)[:16]
    + struct.pack("<Q", 2)
    + (_text("k") + struct.pack("<IB", 7, 1)) * 2
    + GOOD,
    "value type": _file([GOOD], {"k": struct.pack("<I", 77)}, DATA),
    "long string": _file([GOOD], {"k": struct.pack("<IQ", 8, 1 << 50)}, DATA),
    "long array": _file([GOOD], {"k": struct.pack("<IIQ", 9, 0, 1 << 50)}, DATA),
    "array of arrays": _file([GOOD], {"k": struct.pack("<IIQ", 9, 9, 1)}, DATA),
    "array of strings that ends": _file([GOOD], {"k": struct.pack("<IIQQ", 9, 8, 2, 1 << 40)}, DATA),
    "alignment 3": _file([GOOD], {"general.alignment": struct.pack("<II", 4, 3)}, DATA),
    "alignment 0": _file([GOOD], {"general.alignment": struct.pack("<II", 4, 0)}, DATA),
    "alignment of another type": _file([GOOD], {"general.alignment": struct.pack("<IQ", 10, 32)}, DATA),
    "no JSON": _file([GOOD], _json("[[["), DATA),
    "deep JSON": _file([GOOD], _json("[" * 100000), DATA),
    "JSON of another kind": _file([GOOD], _json({"x": 1}), DATA),
    "state is no text": _file([GOOD], {naming.KEY: struct.pack("<IB", 7, 1)}, DATA),
    "entry": _file([GOOD], _json([3]), DATA),
    "entry of three": _file([GOOD], _json([["x", "x", "float32"]]), DATA),
    "entry of other types": _file([GOOD], _json([[1, 2, 3, 4]]), DATA),
    "entry with bool extent": _file([GOOD], _json([["x", "x", "float32", [True, 4]]]), DATA),
    "entry with negative extent": _file([GOOD], _json([["x", "x", "float32", [-4, -1]]]), DATA),
    "entry with nine axes": _file([GOOD], _json([["x", "x", "float32", [1] * 8 + [4]]]), DATA),
    "entry with unknown dtype": _file([GOOD], _json([["x", "x", "float9", [4]]]), DATA),
    "entry with another dtype": _file([GOOD], _json([["x", "x", "int32", [4]]]), DATA),
    "entry with another shape": _file([GOOD], _json([["x", "x", "float32", [5]]]), DATA),
    "entry without data": _file([GOOD], _json([["x", "x", "float32", [4]], ["y", None, "float32", [4]]]), DATA),
    "entry of nothing": _file([GOOD], _json([["x", "z", "float32", [4]]]), DATA),
    "tensor without entry": _file([GOOD], _json([]), DATA),
    "entry twice": _file([GOOD], _json([["x", "x", "float32", [4]], ["x", None, "float32", [0]]]), DATA),
    "two of one": _file([GOOD], _json([["x", "x", "float32", [4]], ["y", "x", "float32", [4]]]), DATA),
    "entry empty and huge": _file(
        [GOOD], _json([["x", "x", "float32", [4]], ["y", None, "float32", [0, 1 << 61]]]), DATA
    ),
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
    for keys in ({}, {"k": struct.pack("<IB", 7, 1)}, _json([["y", "x", "float32", [4]]])):
        (tmp_path / "x.gguf").write_bytes(_file([GOOD], keys, DATA))
        assert next(iter(ggml.load(tmp_path / "x.gguf").values())).tolist() == [0, 0, 0, 0]


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=ONE_AT_A_TIME)
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
