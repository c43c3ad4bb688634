"""What a device's memory is taken by."""

from __future__ import annotations

import pytest

import ggml


def test_kept_graphs_are_counted() -> None:
    ggml.backend.clear_graphs()
    before = ggml.backend.memory_stats()
    assert (before.num_graphs, before.graph_bytes) == (0, 0)
    assert before.device == ggml.device("cpu") and 0 < before.free_bytes <= before.total_bytes
    ((ggml.ones(300, 300) + 1).exp() * 2).softmax(-1).sum().item()
    after = ggml.backend.memory_stats("cpu")
    assert after.num_graphs == ggml.backend.num_graphs() == 1 and after.graph_bytes >= 300 * 300 * 4
    ggml.backend.clear_graphs()
    assert ggml.backend.memory_stats().graph_bytes == 0
    with pytest.raises(ggml.ArgumentError):
        ggml.backend.memory_stats("nowhere")


def test_live_tensors_are_counted() -> None:
    before = ggml.backend.memory_stats()
    x = ggml.ones(300, 300)
    lazy = x + 1
    assert x.sum().item() == 90000
    ggml.eval(x)
    after = ggml.backend.memory_stats()
    assert (after.num_tensors - before.num_tensors, after.tensor_bytes - before.tensor_bytes) == (1, 360000)
    ggml.eval(lazy)
    assert ggml.backend.memory_stats().tensor_bytes - before.tensor_bytes == 720000
    with ggml.arena():
        held = ggml.zeros(100, 100)
        ggml.eval(held)
        assert ggml.backend.memory_stats().tensor_bytes - before.tensor_bytes == 760000
    # What an arena has freed is no memory any more, whoever holds it.
    assert ggml.backend.memory_stats().tensor_bytes - before.tensor_bytes == 720000
    del x, lazy, held
    assert ggml.backend.memory_stats().num_tensors == before.num_tensors
