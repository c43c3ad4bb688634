"""What test_rpc.py runs: the CPU, and an RPC server on loopback as a second device with memory of its own."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ggml
from ggml import backend, debug
from tests.ggml.device_rows import ROWS, compare_row

(REMOTE,) = backend.add_rpc_server(os.environ["GGML_RPC_ENDPOINT"])


def mlp(x: ggml.Tensor, w: ggml.Tensor, v: ggml.Tensor) -> ggml.Tensor:
    return ((x @ w).relu() @ v).softmax(-1)


def arrays() -> tuple[ggml.Tensor, ...]:
    generator = ggml.Generator().manual_seed(1)
    return tuple(ggml.randn(*shape, generator=generator) for shape in ((4, 8), (8, 16), (16, 3)))


def test_the_device() -> None:
    assert (str(REMOTE), REMOTE.native) == ("rpc:0", "RPC0")
    assert REMOTE in ggml.devices() and ggml.device("rpc") == ggml.device("RPC0") == REMOTE
    found = backend.info(REMOTE)
    assert found.backend == "RPC" and found.memory_total_bytes > 0
    assert found.buffer_types[0].startswith("RPC0")


@settings(max_examples=25)
@given(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(["float32", "float16", "bfloat16", "int64", "bool"]))
def test_there_and_back(shape: list[int], kind: str) -> None:
    x = ggml.rand(*shape).mul(9).to(getattr(ggml, kind))
    there = x.to("RPC0")
    assert there.device == REMOTE and there.shape == x.shape
    assert there.tolist() == there.cpu().tolist() == x.tolist()
    assert there.cpu().device == ggml.device("cpu")


def test_every_run_sees_its_own_inputs() -> None:
    """Devices remember graphs: a second run with other memory must not be answered with the first's."""
    compiled = ggml.compile(mlp)
    _, w, v = arrays()
    there = [w.to(REMOTE), v.to(REMOTE)]
    for function in (compiled, mlp):
        kept = []  # each run has memory of its own
        for _ in range(5):
            x = ggml.randn(4, 8)
            remote = x.to(REMOTE)
            result = function(remote, *there)
            kept += [remote, result]
            np.testing.assert_allclose(result.numpy(), mlp(x, w, v).numpy(), atol=1e-6)


CASES = {
    "matmul": lambda x: x @ x.T,
    "transposed": lambda x: (x.T + 1) * 2,
    "kernels": lambda x: x.cumsum(0).sort().values,
    "scalar after a kernel": lambda x: x.argmax(-1) + 1,
    "broadcast kernel": lambda x: (x > 0).sum(-1, keepdim=True) * x.long(),
    "expanded kernel": lambda x: x.argmax(-1, keepdim=True).expand(6, 6).contiguous() + x.long(),
    "expanded": lambda x: x.sum(0).expand(6, 6).contiguous() + x.sum(0).expand(6, 6).exp(),
    "select": lambda x: x.masked_fill(x > 0, 5.0),
    "index": lambda x: x.index_select(0, x.argmax(0)),
    "strided": lambda x: x[::2, 1::2].exp() - x.flip(0)[:3, :3],
    "half": lambda x: (x.half() * 3).softmax(-1).float(),
    "norm": lambda x: ggml.nn.functional.layer_norm(x, (6,)),
    "kernel amid ggml": lambda x: (x.exp().cumsum(-1) @ x).relu().argsort(-1).float().sum(),
}


@pytest.mark.parametrize("name", CASES)
def test_operations(name: str) -> None:
    x = ggml.randn(6, 6, generator=ggml.Generator().manual_seed(2))
    there = CASES[name](x.to(REMOTE))
    assert there.device == REMOTE
    np.testing.assert_allclose(there.cpu().numpy(), CASES[name](x).numpy(), rtol=1e-5, atol=1e-5)


EXAMPLES = int(os.environ.get("GGML_RPC_EXAMPLES", "2"))


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_rows_give_what_they_give_on_the_cpu(name: str, data: st.DataObject) -> None:
    compare_row(name, data.draw, REMOTE)


def test_devices_do_not_mix() -> None:
    x = ggml.ones(3)
    with pytest.raises(ggml.DeviceMismatchError) as caught:
        x + x.to(REMOTE)
    assert caught.value.devices == ("cpu", "rpc:0")
    with pytest.raises(ggml.DeviceMismatchError):
        backend.Scheduler(lambda a, b: (a, b), x, x.to(REMOTE))
    with pytest.raises(ggml.DeviceMismatchError):
        x.to(REMOTE).pin_memory()
    with pytest.raises(BufferError):
        x.to(REMOTE).__dlpack_device__()
    with pytest.raises(BufferError):
        np.from_dlpack(x.to(REMOTE))


def test_memory_that_is_not_there() -> None:
    with pytest.raises(ggml.OutOfMemoryError) as caught:
        ggml.zeros(1 << 38, device=REMOTE).clone().contiguous().numpy()
    assert (caught.value.requested, caught.value.device) == (4 << 38, "rpc:0")
    assert caught.value.available > 0


def test_a_pinned_node_makes_splits() -> None:
    x, w, v = arrays()
    scheduler = backend.Scheduler(mlp, x, w, v, others=[REMOTE])
    assert scheduler.backends == ["RPC0", "CPU"] and scheduler.n_backends == 2
    assert scheduler.n_splits == 1
    first, second = [node for node in scheduler.nodes if node.op == "MUL_MAT"]
    scheduler.pin(first, REMOTE)
    scheduler.pin(second, "cpu")
    plan = scheduler.split()
    assert [one.backend for one in plan.splits] == ["RPC0", "CPU"]
    assert plan.n_splits == scheduler.n_splits == 2
    assert scheduler.placement(first) == "RPC0" and scheduler.placement(second.name) == "CPU"
    assert first.name in [node.name for node in plan.splits[0].nodes]
    assert plan.splits[1].inputs
    assert plan.reserve_bytes is None
    np.testing.assert_allclose(scheduler.run().numpy(), mlp(x, w, v).numpy(), atol=1e-6)
    assert scheduler.buffer_sizes["RPC0"] > 0
    other = ggml.ones(4, 8)
    np.testing.assert_allclose(scheduler.run(other, w, v).numpy(), mlp(other, w, v).numpy(), atol=1e-6)
    with pytest.raises(ggml.ArgumentError, match="allocated"):
        scheduler.pin(first, "cpu")


def test_a_kernel_stays_on_the_cpu() -> None:
    x = ggml.randn(4, 4)
    scheduler = backend.Scheduler(lambda x: x.exp().cumsum(0).exp(), x, others=[REMOTE])
    (kernel,) = [node for node in scheduler.nodes if node.op.startswith("scan:")]
    with pytest.raises(ggml.ArgumentError, match="kernel"):
        scheduler.pin(kernel, REMOTE)
    with pytest.raises(ggml.ArgumentError, match="takes no part"):
        backend.Scheduler(mlp, *arrays()).pin("*", REMOTE)
    scheduler.pin("exp*", REMOTE)
    assert scheduler.placement(kernel) == "CPU"
    assert scheduler.n_splits == 3
    np.testing.assert_allclose(scheduler.run().numpy(), x.exp().cumsum(0).exp().numpy(), rtol=1e-5)


def test_comparing_two_devices() -> None:
    report = debug.compare(mlp, *arrays(), a="CPU", b="RPC0")
    assert report.is_close and (report.a, report.b) == ("CPU", "RPC0")
    assert "MUL_MAT" in [one.node.op for one in report.differences]
    assert debug.compare(mlp, *arrays()).b == "RPC0"


def test_observing_and_copying() -> None:
    x, w, v = arrays()
    seen = []
    with debug.copied(REMOTE, mlp, x, w, v) as copy:
        with copy.observe(lambda name, op, shape, value: seen.append((op, value.sum())), "softmax*"):
            result = copy.run()
        with pytest.raises(KeyError), copy.observe(lambda *_: {}["no"]):
            copy.run()
        np.testing.assert_allclose(copy.run().cpu().numpy(), mlp(x, w, v).numpy(), atol=1e-6)
    assert result.device == REMOTE
    assert seen[0][0] == "SOFT_MAX" and seen[0][1] == pytest.approx(4)
    with backend.Scheduler(mlp, x, w, v).copy_to(REMOTE) as copy:
        assert copy.run().device == REMOTE
    found = debug.find_nan(lambda x: x.log() + 1, (x - 9).to(REMOTE))
    assert found is not None and found.node is not None and found.node.name.startswith("log")


def test_arenas_on_a_device() -> None:
    with ggml.arena() as memory:
        x = ggml.rand(9).to(REMOTE)
        kept = memory.keep(x + 1)
    with pytest.raises(ggml.ClosedTensorError):
        x.numpy()
    assert kept.numpy().min() >= 1


@pytest.mark.parametrize("endpoint", ["", "nowhere", "host:", "host:x", "host:0", "host:99999", ":1", "127.0.0.1:1"])
def test_servers_that_do_not_answer(endpoint: str) -> None:
    with pytest.raises(ggml.GgmlError):
        backend.add_rpc_server(endpoint)


def test_inputs_larger_than_a_page() -> None:
    """A server is asked how much memory a product takes, and looks at where its sources lie."""
    x, y = ggml.arange(14 * 336.0).reshape(14, 336) / 1e3, ggml.arange(252 * 336.0).reshape(252, 336) / 1e5
    there = (x.to(REMOTE) @ y.to(REMOTE).T) + 1
    assert ggml.allclose(there.cpu(), (x @ y.T) + 1, rtol=1e-4)


def test_a_forked_process_leaves_the_device_to_its_parent() -> None:
    x = ggml.full((4, 4), 2.0, device=REMOTE)
    wanted = (x @ x).cpu()
    pid = os.fork()
    if pid == 0:
        refused = 0
        for use in (x.cpu, lambda: (x @ x).numpy(), lambda: ggml.ones(2).contiguous().to(REMOTE), x.tolist):
            try:
                use()
            except ggml.ForkedProcessError:
                refused += 1
        works = (wanted + 1).tolist() == [[17] * 4] * 4
        backend.clear_graphs()
        del x
        os._exit(refused if works else 99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    assert (x @ x).cpu().tolist() == wanted.tolist()  # the child let go of nothing here
