"""One table of element types, and it agrees with the extension's and with gguf-py's."""

from __future__ import annotations

import gguf
import pytest

from ggml.gguf.tensor_types import BY_NAME, TENSOR_TYPES, tensor_type
from worker_native import ggml_types


def test_the_extension_has_the_same_types() -> None:
    ours = {name: (kind.number, kind.block_size, kind.block_bytes, kind.is_quantized) for name, kind in BY_NAME.items()}
    assert ours == {name.lower(): tuple(row) for name, *row in ggml_types()}


def test_the_type_table_agrees_with_gguf_py() -> None:
    known = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert set(known) <= set(TENSOR_TYPES)
    for number, sizes in known.items():
        kind = TENSOR_TYPES[number]
        # gguf-py still counts two floats in a Q8_1 block; ggml has had two halves for long.
        expected = (32, 36) if kind.name == "Q8_1" else sizes
        assert (kind.block_size, kind.block_bytes) == expected, kind.name
        assert tensor_type(gguf.GGMLQuantizationType(number).name) is kind


def test_names() -> None:
    assert tensor_type("q8_0") is tensor_type("Q8_0") is TENSOR_TYPES[8]
    with pytest.raises(ValueError, match="tensor type 'q9': unknown; choose one of f32, f16"):
        tensor_type("q9")
