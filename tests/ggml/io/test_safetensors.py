"""Files of safetensors, written here by the format's rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml


def _file(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def _entry(dtype: Any, shape: Any, begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_tensors_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "F32": rng.standard_normal((2, 3)).astype(np.float32), "F16": np.ones(3, np.float16),
        "BF16": np.array([0x3FC0], np.uint16), "I64": np.array([1 << 40]), "I32": np.array([[7]], np.int32),
        "I16": np.array([-3], np.int16), "I8": np.array([-4], np.int8), "U8": np.array([200], np.uint8),
        "BOOL": np.array([True, False]), "U32": np.array([1 << 31], np.uint32),
    }  # fmt: skip
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in arrays.items():
        header[f"{name} of ä"] = _entry(name, list(array.shape), len(data), len(data) + array.nbytes)
        data += array.tobytes()
    header["nothing"] = _entry("F32", [0, 3], len(data), len(data))
    header["scalar"] = _entry("F32", [], len(data), len(data) + 4)
    path = _file(tmp_path / "x.safetensors", header, data + np.float32(2.5).tobytes())
    found = ggml.load(path, "cpu")
    assert list(found) == [name for name in header if name != "__metadata__"]
    for name, array in arrays.items():
        if name != "BF16":
            np.testing.assert_array_equal(found[f"{name} of ä"].numpy(), array)
    assert found["BF16 of ä"].dtype is ggml.bfloat16 and found["BF16 of ä"].float().tolist() == [1.5]
    assert found["I8 of ä"].dtype is ggml.int32 and found["U32 of ä"].dtype is ggml.int64
    assert found["nothing"].shape == (0, 3) and found["scalar"].item() == 2.5
    module = ggml.nn.Linear(3, 2, bias=False)
    module.load_state_dict({"weight": found["F32 of ä"]})
    assert ggml.load(_file(tmp_path / "empty", {})) == {}


@pytest.mark.parametrize(
    "header",
    [
        b"{", b"[]      ", b"{" * 5000, {"x": 3}, {"x": {}}, {"x": _entry("F64", [1], 0, 8)},
        {"x": _entry("F32", [2], 0, 4)}, {"x": _entry("F32", [1], 0, 4)}, {"x": _entry("F32", [-2], 0, 8)},
        {"x": _entry("F32", [True], 0, 8)}, {"x": _entry("F32", [1] * 8 + [2], 0, 8)}, {"x": _entry(3, [2], 0, 8)},
        {"x": _entry("F32", [2], 8, 0)}, {"x": _entry("F32", [2], 0, 1 << 70)}, {"x": _entry("F32", [2], "0", 8)},
        {"x": _entry("F32", [1 << 61, 2], 0, 8)}, {"x": _entry("F32", [2], -8, 0)},
        {"x": _entry("F32", [2], 0, 8), "y": _entry("F32", [1], 4, 8)},
        {"x": _entry("F32", [1], 0, 4), "y": _entry("F32", [0], 5, 5)},
        {"x": _entry("F32", [0, 1 << 62], 0, 0), "y": _entry("F32", [2], 0, 8)},
    ],
    ids=lambda one: str(one)[:40],
)  # fmt: skip
def test_hostile_headers_are_refused(tmp_path: Path, header: Any) -> None:
    path = _file(tmp_path / "x.safetensors", header, bytes(8))
    with pytest.raises(ggml.FileFormatError) as caught:
        ggml.load(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("length", [0, 1 << 20, 1 << 63, 7])
def test_hostile_lengths_are_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(ggml.FileFormatError):
        ggml.load(_file(tmp_path / "x", {"x": _entry("F32", [2], 0, 8)}, bytes(8), length))
