"""The lazy graph, its cache, compiled functions, and what memory they keep."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest

import ggml
from ggml import backend


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_nothing_is_computed_before_it_is_needed() -> None:
    x = ggml.ones(3)
    y = x * 2 + 1
    assert ggml.is_lazy(y)
    assert y.tolist() == [3, 3, 3]
    assert not ggml.is_lazy(y)


def test_equal_graphs_are_built_once() -> None:
    backend.clear_graphs()
    for i in range(5):
        assert ((ggml.full((4, 3), float(i)).exp() + ggml.ones(3)).sum()).item() > 0
    num_graphs = backend.num_graphs()
    for _ in range(5):
        ((ggml.rand(4, 3).exp() + ggml.ones(3)).sum()).item()
    assert backend.num_graphs() <= num_graphs + 1


def test_eval_computes_several_at_once() -> None:
    x = ggml.arange(6.0)
    a, b = x.sum(), x.reshape(2, 3).T
    ggml.eval(a, [b, {"c": x}], x)
    assert not ggml.is_lazy(a)
    assert not ggml.is_lazy(b)
    assert b.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_long_chain_is_computed_on_the_way() -> None:
    x = ggml.zeros(2)
    for _ in range(20_000):
        x = x + 1
    assert x.tolist() == [20_000, 20_000]


def test_zeros_of_both_signs_are_kept_apart() -> None:
    x = ggml.ones(1)
    assert np.signbit((x * -0.0).numpy())[0]
    assert not np.signbit((x * 0.0).numpy())[0]


def test_in_place_methods_change_only_their_tensor() -> None:
    x = ggml.arange(3.0)
    y, z = x.clone(), x
    doubled = x * 2
    x.add_(10)
    assert x.tolist() == [10, 11, 12]
    assert z.tolist() == [10, 11, 12]
    assert y.tolist() == [0, 1, 2]
    assert doubled.tolist() == [0, 2, 4]
    with pytest.raises(ggml.ShapeMismatchError):
        x.add_(ggml.ones(2, 3))
    with pytest.raises(ggml.DTypeError):
        ggml.arange(3).add_(0.5)
    counts = ggml.arange(3)
    counts += 1
    assert counts.tolist() == [1, 2, 3]


def test_compiled_functions_record_once_for_each_shape() -> None:
    calls = []

    def function(x: ggml.Tensor, y: ggml.Tensor, scale: float = 1.0) -> dict[str, ggml.Tensor]:
        calls.append(tuple(x.shape))
        return {"sum": x + y, "scaled": (x * scale).sum()}

    compiled = ggml.compile(function)
    for n in (2, 3, 2, 3):
        x = ggml.arange(float(n))
        result = compiled(x, x * 2, scale=3.0)
        assert result["sum"].tolist() == [3 * i for i in range(n)]
        assert result["scaled"].item() == 3 * sum(range(n))
    assert calls == [(2,), (3,)]
    compiled(ggml.arange(2.0), ggml.arange(2.0), scale=4.0)
    assert len(calls) == 3


def test_compiled_arguments_may_be_one_tensor() -> None:
    compiled = ggml.compile(lambda x, y: x - y)
    x, y = ggml.ones(2), ggml.zeros(2)
    assert compiled(x, x).tolist() == [0, 0]
    assert compiled(x, y).tolist() == [1, 1]
    assert compiled(y, x).tolist() == [-1, -1]


def test_compiled_functions_see_changes_of_what_they_hold() -> None:
    weight = ggml.ones(2)
    compiled = ggml.compile(lambda x: x * weight)
    x = ggml.arange(2.0) + 1
    assert compiled(x).tolist() == [1, 2]
    weight.mul_(3)
    assert compiled(x).tolist() == [3, 6]


def test_values_are_not_there_while_recording() -> None:
    compiled = ggml.compile(lambda x: x + (1 if x.sum() > 0 else 2))
    with pytest.raises(ggml.TracingError):
        compiled(ggml.ones(2))


def test_compiled_results_may_be_arguments_and_held_tensors() -> None:
    held = ggml.full((2,), 5.0)
    compiled = ggml.compile(lambda x: (x, held, x.reshape(1, 2), x + 1, x))
    results = compiled(ggml.arange(2.0))
    assert [one.tolist() for one in results] == [[0, 1], [5, 5], [[0, 1]], [1, 2], [0, 1]]


def test_index_errors_name_the_operation() -> None:
    table = ggml.ones(3, 2)
    with pytest.raises(ggml.IndexOutOfRangeError, match="index_select: index 3") as caught:
        table.index_select(0, ggml.tensor([0, 3])).numpy()
    assert isinstance(caught.value, IndexError)
    assert caught.value.op == "index_select"
    with pytest.raises(ggml.DivisionByZeroError):
        (ggml.arange(3) // ggml.arange(3)).numpy()
    assert table.index_select(0, ggml.tensor([0, 2])).shape == (2, 2)


def test_threads_may_share_everything() -> None:
    compiled = ggml.compile(lambda x: (x @ x.T).softmax(-1).sum())
    shared = ggml.randn(16, 16)
    wrong: list[float] = []

    def work() -> None:
        for _ in range(100):
            total = compiled(shared).item()
            if abs(total - 16) > 1e-3 or abs((shared * 0 + 1).sum().item() - 256) > 1e-3:
                wrong.append(total)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_loop_does_not_grow() -> None:
    compiled = ggml.compile(lambda x: (x * 2).tanh().sum(0))

    def loop(times: int) -> None:
        for i in range(times):
            x = ggml.rand(64, 64)
            compiled(x).numpy()
            (x @ x).relu().mean().item()
            ggml.tensor([float(i)]).add_(1).item()

    loop(500)
    gc.collect()
    before = resident_bytes()
    loop(5000)
    gc.collect()
    assert resident_bytes() - before < 4 << 20


def test_memory_that_is_not_there() -> None:
    with pytest.raises(ggml.OutOfMemoryError) as caught:
        ggml.ones(1 << 20, 1 << 20).contiguous().numpy()
    assert isinstance(caught.value, MemoryError)
    assert caught.value.device == "cpu"
    with pytest.raises(ggml.OutOfMemoryError):
        (ggml.ones(1 << 20, 1) * ggml.ones(1 << 20)).sum().item()
