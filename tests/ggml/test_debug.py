"""Comparing, finding NaN, dumping: on graphs where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml import backend, debug


def attention(q: ggml.Tensor, k: ggml.Tensor, v: ggml.Tensor) -> ggml.Tensor:
    return ((q @ k.transpose(-1, -2)) * 0.25).softmax(-1) @ v


def inputs() -> tuple[ggml.Tensor, ...]:
    generator = ggml.Generator().manual_seed(3)
    return tuple(ggml.randn(2, 5, 16, generator=generator) for _ in range(3))


def test_devices_may_come_last() -> None:
    report = debug.compare(attention, *inputs(), "CPU", "CPU")
    assert (report.a, report.b) == ("CPU", "CPU") and report.differences and report.is_close


def test_threads_make_no_difference() -> None:
    report = debug.compare(attention, *inputs(), a="CPU", b="CPU", threads=(1, 2), rtol=0, atol=0)
    assert report.is_close and report.first is None
    assert (report.a, report.b) == ("CPU (1 threads)", "CPU (2 threads)")
    computed = [node for node in backend.Scheduler(attention, *inputs()).nodes if not node.is_view]
    assert [one.node.name for one in report.differences] == [node.name for node in computed]
    assert "exp_rows:softmax" in str(report)
    assert report.worst.max_abs == 0


def test_differences_are_found_where_they_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run sees another memory: what differs is the input, and all that follows from it."""
    x = ggml.zeros(4).contiguous()
    ggml.eval(x)
    runs = iter([1.0, 1.5])
    run = backend.Scheduler.run

    def spoiled(self: backend.Scheduler, *given: ggml.Tensor) -> object:
        x.buffer().write(np.full(4, next(runs), np.float32).view(np.uint8))
        return run(self, *given)

    monkeypatch.setattr(backend.Scheduler, "run", spoiled)
    report = debug.compare(lambda x: (x * 0).cos() + (x * 2).exp(), x, a="CPU", b="CPU")
    assert not report.is_close
    assert report.first is not None
    names = [one.node.name.partition(".")[0] for one in report.differences if not one.is_close]
    assert names[0] == report.first.node.name.partition(".")[0] == "mul"
    assert "exp" in names and "cos" not in names
    assert report.first.max_abs == pytest.approx(1.0)
    assert "differs" in str(report)


def test_devices_that_are_not_here() -> None:
    with pytest.raises(ggml.ArgumentError, match="this process has cpu"):
        debug.compare(attention, *inputs(), b="CUDA0")
    with pytest.raises(ggml.ArgumentError, match="CUDA0"):
        debug.compare(attention, *inputs(), "CPU", "CUDA0")
    with pytest.raises(ggml.ArgumentError):
        debug.compare(attention, *inputs(), threads=(0, 1))
    with pytest.raises(ggml.ArgumentError), debug.copied("vulkan", attention, *inputs()):
        pass


def test_nan_on_both_sides_is_equal() -> None:
    report = debug.compare(lambda x: (x - 5).log() * 0 + x / 0, ggml.arange(4.0), b="CPU")
    assert report.is_close


@settings(max_examples=25)
@given(st.integers(0, 3), st.integers(0, 5), st.sampled_from(["log", "sqrt"]))
def test_the_first_nan_is_found(seed: int, place: int, kind: str) -> None:
    x = ggml.rand(2, 3, generator=ggml.Generator().manual_seed(seed)) + 0.5
    spoil = np.zeros((2, 3), np.float32)
    spoil.flat[place] = -10
    bad = ggml.from_numpy(spoil)
    found = debug.find_nan(lambda x: (getattr((x + bad), kind)() * 2).softmax(-1).sum(), x)
    assert found is not None and found.node is not None
    assert found.node.name.startswith(kind)
    assert (found.values.num_nan, found.values.num_inf) == (1, 0)
    (source,) = found.sources
    assert source.name.startswith("add") and source.low < 0 < source.high
    assert source.low == pytest.approx(float((x.numpy() + spoil).min()))
    assert kind in str(found)
    assert debug.find_nan(lambda x: getattr(x, kind)(), x) is None


def test_infinities_and_inputs() -> None:
    x = ggml.tensor([0.0, 1.0])
    found = debug.find_nan(lambda x: 1 / x, x)
    assert found is not None and found.values.num_inf == 1
    assert debug.find_nan(lambda x: 1 / x, x, infinities=False) is None
    found = debug.find_nan(lambda x: x + 1, ggml.tensor([1.0, float("nan")]))
    assert found is not None and found.node is None and found.values.name == "input.0"
    assert "input is not finite" in str(found)
    assert debug.find_nan(lambda x: x + 1, ggml.arange(3)) is None


def test_a_dump_shows_every_node() -> None:
    text = debug.dump(attention, *inputs())
    nodes = backend.Scheduler(attention, *inputs()).nodes
    lines = text.splitlines()[1:]
    assert len(lines) == len(nodes)
    for line, node in zip(lines, nodes, strict=True):
        assert line.split()[0] == node.name
        assert node.op in line
    drawing = debug.dot(attention, *inputs())
    assert drawing.startswith("digraph") and drawing.endswith("}")
    for node in nodes:
        assert f'"{node.name}" [label=' in drawing
        assert all(f'"{source}" -> "{node.name}";' in drawing for source in node.sources)
    assert drawing.count("ellipse") == 3


def test_a_graph_is_copied_for_a_block() -> None:
    given = inputs()
    with debug.copied("cpu", attention, *given) as copy:
        result = copy.run()
    np.testing.assert_array_equal(result.numpy(), attention(*given).numpy())
    assert given[0].numpy().shape == (2, 5, 16)
