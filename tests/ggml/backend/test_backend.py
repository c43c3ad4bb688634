"""Devices, schedulers, plans, observers, cancelling, logging, on the CPU. Other devices: rpc_cases.py."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ggml
from ggml import backend
from ggml.nn import functional
from worker_native import Buffer, Graph, pinned_buffer


def mlp(x: ggml.Tensor, w: ggml.Tensor, v: ggml.Tensor) -> ggml.Tensor:
    return ((x @ w).relu() @ v).softmax(-1)


@pytest.fixture
def arrays() -> tuple[ggml.Tensor, ...]:
    generator = ggml.Generator().manual_seed(1)
    return tuple(ggml.randn(*shape, generator=generator) for shape in ((4, 8), (8, 16), (16, 3)))


def test_what_devices_say() -> None:
    cpu = backend.info("CPU")
    assert cpu == backend.info("cpu") == backend.info(ggml.device("cpu"))
    assert (cpu.name, cpu.backend, cpu.kind) == ("CPU", "CPU", "cpu")
    assert cpu.description
    assert 0 < cpu.memory_free_bytes <= cpu.memory_total_bytes
    assert set(cpu.capabilities) == {"async", "host_buffer", "buffer_from_host_ptr", "events"}
    assert cpu.capabilities["buffer_from_host_ptr"] and not cpu.capabilities["async"]
    assert cpu.buffer_types[0] == "CPU"
    assert cpu in backend.infos()
    with pytest.raises(ggml.ArgumentError, match="this process has cpu"):
        backend.info("cuda:99")


def test_a_scheduler_shows_its_graph(arrays: tuple[ggml.Tensor, ...]) -> None:
    scheduler = backend.Scheduler(mlp, *arrays)
    assert (scheduler.n_splits, scheduler.n_copies, scheduler.n_backends) == (1, 1, 1)
    assert scheduler.backends == ["CPU"]
    nodes = scheduler.nodes
    assert len(nodes) == scheduler.n_nodes
    assert [node.index for node in nodes] == list(range(len(nodes)))
    products = [node for node in nodes if node.op == "MUL_MAT"]
    assert [node.shape for node in products] == [(4, 16), (4, 3)]
    assert products[0].dtype is ggml.float32
    assert "input.0" in products[0].sources
    assert nodes[-1].name.startswith("softmax.") and nodes[-1].op == "exp_rows:softmax"
    assert all(scheduler.placement(node) == "CPU" for node in nodes)
    with pytest.raises(ggml.ArgumentError, match="no node"):
        scheduler.placement("conv.1")


def test_a_plan_allocates_nothing_and_says_what_it_would_take(arrays: tuple[ggml.Tensor, ...]) -> None:
    plan = backend.split(mlp, *arrays)
    assert plan.n_splits == len(plan.splits) == 1
    assert plan.splits[0].backend == "CPU" and plan.splits[0].inputs == ()
    assert all(not node.is_view for node in plan.nodes)
    scheduler = backend.Scheduler(mlp, *arrays)
    assert scheduler.reserve_size() == plan.reserve_bytes == scheduler.buffer_sizes
    assert "split 0 on CPU" in str(plan)
    huge = backend.split(lambda x: x.expand(1 << 18, 1 << 18).contiguous().exp().sum(), ggml.ones(1))
    assert huge.reserve_bytes is not None and huge.reserve_bytes["CPU"] >= 4 << 36


def test_schedulers_take_functions_modules_compiled_ones_and_lazy_tensors(arrays: tuple[ggml.Tensor, ...]) -> None:
    expected = mlp(*arrays).numpy()
    for graph, inputs in ((mlp, arrays), (ggml.compile(mlp), arrays), (mlp(*arrays), ())):
        np.testing.assert_array_equal(backend.Scheduler(graph, *inputs).run().numpy(), expected)
    held = backend.Scheduler(lambda x: mlp(x, *arrays[1:]), arrays[0])
    assert {"input.0", "held.0", "held.1"} <= {name for node in held.nodes for name in node.sources}
    both = backend.Scheduler(lambda x: {"double": x * 2, "parts": (x + 1, x)}, arrays[0]).run()
    np.testing.assert_array_equal(both["parts"][1].numpy(), arrays[0].numpy())
    assert both["double"].shape == (4, 8)
    for wrong in (3, "x", None):
        with pytest.raises(ggml.ArgumentError):
            backend.Scheduler(wrong, *arrays)
    with pytest.raises(ggml.ArgumentError):
        backend.Scheduler(arrays[0] + 1, arrays[0])
    with pytest.raises(ggml.ArgumentError):
        backend.Scheduler(lambda x: 3, arrays[0])


def test_a_scheduler_runs_with_other_inputs(arrays: tuple[ggml.Tensor, ...]) -> None:
    scheduler = backend.Scheduler(mlp, *arrays)
    other = ggml.ones(4, 8)
    np.testing.assert_array_equal(scheduler.run(other, *arrays[1:]).numpy(), mlp(other, *arrays[1:]).numpy())
    np.testing.assert_array_equal(scheduler.run().numpy(), mlp(*arrays).numpy())
    with pytest.raises(ggml.ShapeMismatchError):
        scheduler.run(other)
    with pytest.raises(ggml.ShapeMismatchError):
        scheduler.run(ggml.ones(4, 9), *arrays[1:])


def test_pins_that_cannot_be(arrays: tuple[ggml.Tensor, ...]) -> None:
    scheduler = backend.Scheduler(mlp, *arrays)
    scheduler.pin("softmax.*", "cpu")
    view = next(node for node in scheduler.nodes if node.is_view)
    with pytest.raises(ggml.ArgumentError, match="view"):
        scheduler.pin(view, "cpu")
    with pytest.raises(ggml.ArgumentError, match="no node"):
        scheduler.pin("conv*", "cpu")
    with pytest.raises(ggml.ArgumentError, match="this process has"):
        scheduler.pin("softmax.*", "cuda:9")
    scheduler.run()
    with pytest.raises(ggml.ArgumentError, match="allocated"):
        scheduler.pin("softmax.*", "cpu")


@settings(max_examples=20)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 3))
def test_what_observers_see_is_what_is_computed(shape: list[int], seed: int) -> None:
    x = ggml.randn(*shape, generator=ggml.Generator().manual_seed(seed))
    seen: dict[str, np.ndarray] = {}

    def see(name: str, op: str, size: tuple[int, ...], value: np.ndarray) -> None:
        assert value.shape == size and op
        seen[name] = value

    with backend.observe(see, where="exp.*"):
        y = x.exp().sum().item()
    (value,) = seen.values()
    np.testing.assert_array_equal(value.reshape(-1), x.exp().numpy().reshape(-1))
    assert y == x.exp().sum().item()


def test_observers_see_every_dtype() -> None:
    kinds = {}
    x = ggml.arange(6)
    with backend.observe(lambda name, op, shape, value: kinds.setdefault(value.dtype.name, (name, op))):
        ggml.eval(x + 1, x.float().half() * 2, x.to(ggml.bfloat16).abs(), x > 2)
    assert {"int64", "float32", "float16"} <= set(kinds)


def test_observers_nest_and_match_names(arrays: tuple[ggml.Tensor, ...]) -> None:
    scheduler = backend.Scheduler(mlp, *arrays)
    names: list[str] = []
    others: list[str] = []
    with scheduler.observe(lambda name, *_: names.append(name), "soft*"):
        with backend.observe(lambda name, *_: others.append(name), "relu*"):
            scheduler.run()
        scheduler.run()
    scheduler.run()
    assert [name.partition(".")[0] for name in names] == ["softmax", "softmax"]
    assert [name.partition(".")[0] for name in others] == ["relu"]


def test_what_an_observer_raises_is_raised(arrays: tuple[ggml.Tensor, ...]) -> None:
    scheduler = backend.Scheduler(mlp, *arrays)
    calls: list[str] = []

    def see(name: str, *_: object) -> None:
        calls.append(name)
        raise KeyError(name)

    for _ in range(3):
        with pytest.raises(KeyError), scheduler.observe(see):
            scheduler.run()
    assert len(calls) == 3
    np.testing.assert_array_equal(scheduler.run().numpy(), mlp(*arrays).numpy())
    for action in (lambda: (arrays[0] + 1).numpy(), lambda: scheduler.run()):
        with pytest.raises(ggml.GgmlError, match="observer"), scheduler.observe(lambda *_, go=action: go()):
            scheduler.run()
    with pytest.raises(ggml.GgmlError, match="observer"), scheduler.observe(lambda *_: ggml.set_num_threads(1)):
        scheduler.run()


def test_another_thread_may_cancel() -> None:
    x = ggml.randn(1024, 1024)

    def long(x: ggml.Tensor) -> ggml.Tensor:
        y = x
        for _ in range(400):
            y = (y @ x) * 1e-3
        return y

    scheduler = backend.Scheduler(long, x)
    scheduler.allocate()
    assert not scheduler.cancel()
    results: list[BaseException | None] = []

    def work() -> None:
        try:
            scheduler.run()
            results.append(None)
        except ggml.CancelledError as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline_s = time.monotonic() + 30
    while not scheduler.cancel() and time.monotonic() < deadline_s:
        time.sleep(0.001)
    thread.join()
    assert isinstance(results[0], InterruptedError)
    assert not scheduler.cancel()


def test_runs_that_are_awaited(arrays: tuple[ggml.Tensor, ...]) -> None:
    async def both() -> tuple[ggml.Tensor, ggml.Tensor]:
        lazy = mlp(*arrays)
        result, _ = await asyncio.gather(backend.Scheduler(mlp, *arrays).run_async(), ggml.eval_async(lazy))
        assert not ggml.is_lazy(lazy)
        return result, lazy

    result, lazy = asyncio.run(both())
    np.testing.assert_array_equal(result.numpy(), lazy.numpy())
    with pytest.raises(ggml.DTypeError):
        asyncio.run(ggml.eval_async(3))


def say(level: int, text: str) -> None:
    """As ggml itself logs."""
    maps = Path("/proc/self/maps")
    for line in maps.read_text().splitlines() if maps.exists() else ():
        if "libggml-base" in line:
            library = ctypes.CDLL(line.split(maxsplit=5)[-1])
            library.ggml_log_internal(ctypes.c_int(level), b"%s", ctypes.c_char_p(text.encode()))
            return
    pytest.skip("the process has no map of its libraries")


def test_log_lines_are_joined_and_have_levels(caplog: pytest.LogCaptureFixture) -> None:
    backend.set_logging()
    try:
        with caplog.at_level(logging.DEBUG, logger="ggml"):
            say(3, "loading")
            say(5, " ...")
            say(5, " done\n")
            say(5, "and more\n")
            say(4, "it failed\n")
            say(1, "detail 100 %s\n")
        found = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
    finally:
        backend.set_logging(False)
    assert found == [
        ("ggml", logging.WARNING, "loading ... done"),
        ("ggml", logging.WARNING, "and more"),
        ("ggml", logging.ERROR, "it failed"),
        ("ggml", logging.DEBUG, "detail 100 %s"),
    ]
    caplog.clear()
    say(4, "nobody listens\n")
    assert not caplog.records


def test_logging_is_safe_at_exit() -> None:
    code = (
        "import ggml; ggml.backend.set_logging(); x = ggml.rand(9).exp(); x.numpy(); s = ggml.backend.Scheduler(x + 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_layers_can_be_scheduled() -> None:
    x = ggml.randn(2, 8)
    scheduler = backend.Scheduler(functional.layer_norm, x, (8,))
    np.testing.assert_array_equal(scheduler.run().numpy(), functional.layer_norm(x, (8,)).numpy())


def test_the_native_graph_refuses_what_cannot_be_placed() -> None:
    names = ["input", "sqr"]
    words = np.array([0, 0, 3, 1, 1, 1, 0, 0, 1, 0, 3, 1, 1, 1, 1, 0, 0], np.int64)
    outputs = np.array([1], np.int64)
    for pins in ([(5, "CPU")], [(-1, "CPU")], [(0, "CPU")], [(1, "CUDA9")]):
        with pytest.raises(ValueError):
            Graph("CPU", names, words, outputs, pinned=pins)
    with pytest.raises(ValueError):
        Graph("CPU", names, words, outputs, others=["CUDA9"])
    plan = Graph("CPU", names, words, outputs, is_plan=True)
    with pytest.raises(ValueError, match="plan"):
        plan.run([Buffer("CPU", 12)])
    with pytest.raises(ValueError, match="plan"):
        plan.measure([Buffer("CPU", 12)], 1)
    assert plan.nodes()[0][:5] == (1, "SQR", 0, (3,), "CPU")
    graph = Graph("CPU", names, words, outputs, pinned=[(1, "CPU")])
    for wanted in ([7], [-1]):
        with pytest.raises(ValueError):
            graph.run([Buffer("CPU", 12)], print, wanted)
    with pytest.raises((TypeError, RuntimeError)):
        graph.run([Buffer("CPU", 12)], 3, [0])  # type: ignore[arg-type]
    assert not graph.cancel()
    with pytest.raises(ValueError):
        pinned_buffer("CUDA9", 3)
    with pytest.raises(ValueError):
        pinned_buffer("CPU", -3)


def test_a_pattern_of_an_observer_that_matches_no_node() -> None:
    x = ggml.rand(4, 4)
    why = r"'sofmax\.\*' matches no node that ran, such as softmax"
    with pytest.raises(ggml.ArgumentError, match=why), backend.observe(lambda *_: None, "sofmax.*"):
        x.softmax(-1).numpy()
    with backend.observe(lambda *_: None, "sofmax.*"):
        pass  # nothing ran
