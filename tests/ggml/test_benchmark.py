"""What the benchmark compares computes the same on both sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import llama_cpp  # noqa: E402

import ggml  # noqa: E402
from ggml.benchmark.gguf_file import write_llama  # noqa: E402
from ggml.benchmark.llama_cpp_side import Model  # noqa: E402
from ggml.benchmark.shapes import LlamaShape  # noqa: E402
from ggml.benchmark.torch_side import write_llama as write_program  # noqa: E402


def test_a_program_and_llama_cpp_have_the_same_logits_at_every_step(tmp_path: Path) -> None:
    shape = LlamaShape(64, 128, 2, 4, 2, vocabulary=96, capacity=32)
    torch.manual_seed(0)
    with torch.no_grad():
        write_program(shape, str(tmp_path / "model.ggp"))
    program = ggml.load_program(tmp_path / "model.ggp")
    write_llama(program, shape, tmp_path / "model.gguf")
    model = Model(str(tmp_path / "model.gguf"), shape.capacity, 1)
    for tokens, begin in (([3, 7, 11, 90, 5], 0), ([8], 5), ([1], 6), ([2, 4], 7)):
        places = np.arange(begin, begin + len(tokens))
        ours = program(np.array([tokens]), places).numpy().reshape(-1)
        model.decode(tokens, begin)
        theirs = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(model.context, -1), (shape.vocabulary,))
        # llama.cpp keeps keys and values in 16 bits.
        np.testing.assert_allclose(ours, theirs, atol=0.02 * np.abs(theirs).max())
        assert np.abs(theirs).max() > 0.1
