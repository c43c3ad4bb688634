"""Every value of a header comes out as gguf-py wrote it, and no damage does more than raise."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml.io.gguf_file import open_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "all.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for kind, value in SCALARS.items():
        getattr(writer, f"add_{kind}")(f"a.{kind}", value)
    writer.add_array("list.float", [0.5, -1.0])
    writer.add_array("list.int", [1, -2, 3])
    writer.add_array("list.bool", [True, False])
    writer.add_array("list.text", ["x", b"\xff\xfe", "\u4e16"])
    writer.add_tensor("matrix", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("bytes", np.arange(3, dtype=np.int8))
    writer.add_tensor("blocks", np.zeros((2, 34), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


SCALARS = {
    "uint8": 200,
    "int8": -100,
    "uint16": 60000,
    "int16": -30000,
    "uint32": 4_000_000_000,
    "int32": -2_000_000_000,
    "uint64": 1 << 63,
    "int64": -(1 << 62),
    "float32": 0.25,
    "float64": 0.1,
    "bool": True,
    "string": "text \u00fc",
}


def test_values(file: Path) -> None:
    found = open_gguf(file)
    for kind, value in SCALARS.items():
        assert found.metadata[f"a.{kind}"] == value and type(found.metadata[f"a.{kind}"]) is type(value)
    assert found.types["a.uint64"] == "u64" and found.types["a.bool"] == "bool" and found.types["a.string"] == "str"
    lists = {key: value for key, value in found.metadata.items() if key.startswith("list.")}
    assert lists == {
        "list.float": [0.5, -1.0],
        "list.int": [1, -2, 3],
        "list.bool": [True, False],
        "list.text": ["x", "\ufffd\ufffd", "\u4e16"],
    }
    assert found.types["list.text"] == "arr:str" and lists["list.bool"][0] is True


def test_tensors(file: Path) -> None:
    found = open_gguf(file)
    assert [(one.name, one.type, one.shape, one.num_bytes) for one in found.tensors] == [
        ("matrix", "f32", (2, 3), 24),
        ("bytes", "i8", (3,), 3),
        ("blocks", "q8_0", (2, 32), 68),
    ]
    assert found.load("matrix").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.load("blocks").dtype is ggml.q8_0 and found.find("blocks").is_quantized
    with pytest.raises(ggml.DTypeError, match="a type that ggml tensors have"):
        found.load("bytes")
    with pytest.raises(ggml.FileFormatError, match="there is no such tensor"):
        found.find("none")


@settings(max_examples=200)
@given(data=st.data())
def test_damage(file: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path_factory.getbasetemp() / "damaged.gguf"
    damaged.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
    try:
        found = open_gguf(damaged)
    except ggml.FileFormatError:
        return
    for tensor in found.tensors:
        if tensor.stored is not None:
            found.load(tensor.name).raw_bytes()
