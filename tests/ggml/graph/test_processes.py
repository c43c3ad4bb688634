"""Processes that fork, end or are interrupted while something computes; threads that share tensors."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import ggml

# Far more than anything here takes: what hangs fails.
TIMEOUT_S = 60

#: A graph that takes many seconds: independent of what the machine does, each operation takes some milliseconds.
_LONG = """
import ggml, os, signal, sys, threading, time
from ggml import backend
def long(num_steps=4_000):
    x = ggml.full((512, 512), 1e-3)
    for _ in range(num_steps):
        x = x @ x
    return x
"""


def run(script: str, *, is_clean: bool = True) -> subprocess.CompletedProcess[str]:
    """The script in a Python of its own, which must end by itself."""
    done = subprocess.run(
        [sys.executable, "-c", _LONG + textwrap.dedent(script)], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    if is_clean:
        assert (done.returncode, done.stderr) == (0, ""), done
    return done


# Forks


def test_a_forked_process_computes_with_all_threads_again_and_again() -> None:
    done = run(
        """
        import numpy as np
        ggml.set_num_threads(2)
        x = ggml.rand(256, 256)
        want = (x @ x).exp().numpy().copy()
        compiled = ggml.compile(lambda x: (x @ x).exp())
        compiled(x)
        def check():
            for _ in range(3):
                assert ((x @ x).exp().numpy() == want).all()
                assert (compiled(x).numpy() == want).all()
            assert ggml.get_num_threads() == 2
        def in_thread():
            thread = threading.Thread(target=check)
            thread.start()
            thread.join()
        for work in (check, in_thread, lambda: (check(), in_thread())):
            pid = os.fork()
            if pid == 0:
                work()
                inner = os.fork()
                if inner == 0:
                    work()
                    os._exit(0)
                sys.exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            check()
        """
    )
    assert done.stdout.split() == ["0"] * 3


def test_a_fork_while_other_threads_compute_record_and_draw() -> None:
    done = run(
        """
        ggml.set_num_threads(2)
        stop, begun = threading.Event(), threading.Barrier(4)
        def repeat(work):
            work()
            begun.wait()
            while not stop.is_set():
                work()
        x, y = ggml.rand(300, 300), ggml.rand(200, 200)
        compiled = ggml.compile(lambda x: x @ x)
        def record():
            compiled.reset()
            compiled(y)
        for work in (lambda: (x @ x).numpy(), record, lambda: ggml.rand(100_000)):
            threading.Thread(target=repeat, args=(work,)).start()
        begun.wait()
        codes = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                (x @ x).sum().item(), compiled(y).sum().item(), ggml.rand(3).tolist()
                ggml.backend.clear_graphs()
                (x + 1).sum().item()
                sys.exit(0)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        print(*codes)
        """
    )
    assert done.stdout.split() == ["0"] * 20


def _batch(at: int) -> float:
    return float((ggml.full((128, 128), float(at)) @ ggml.ones(128, 128)).mean().item())


def test_fork_pools_of_a_process_that_has_computed() -> None:
    num_threads = ggml.get_num_threads()
    ggml.set_num_threads(2)
    try:
        assert _batch(1) == 128
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(_batch, range(8)).get(timeout=TIMEOUT_S) == [128.0 * at for at in range(8)]
    finally:
        ggml.set_num_threads(num_threads)


def test_loaders_of_torch_with_forked_workers() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

    class Batches(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return 6

        def __getitem__(self, at: int) -> object:
            return torch.from_dlpack((ggml.full((64, 64), float(at)) @ ggml.ones(64, 64)).mean().reshape(1))

    _batch(1)
    loader = torch.utils.data.DataLoader(Batches(), num_workers=2, multiprocessing_context="fork", timeout=TIMEOUT_S)
    assert [one.item() for one in loader] == [64.0 * at for at in range(6)]


def test_a_fork_inside_of_an_observer_ends_the_run_of_the_child() -> None:
    done = run(
        """
        ggml.set_num_threads(2)
        x = ggml.rand(256, 256)
        pids = []
        def see(*_):
            if not pids:
                pids.append(os.fork())
        try:
            with backend.observe(see):
                (x @ x).exp().numpy()
        except ggml.ForkedProcessError as error:
            assert pids == [0], pids
            (x @ x).numpy()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]))
        """
    )
    assert done.stdout.split() == ["7"]


# Signals


def test_ctrl_c_ends_a_long_evaluation_and_leaves_everything_as_it_was() -> None:
    done = run(
        """
        ggml.set_num_threads(2)
        x, small = long(), ggml.ones(3) + 1
        compiled = ggml.compile(lambda x: long())
        for work in (lambda: ggml.eval(x), lambda: compiled(small)):
            ggml.rand(2).sum().item()
            threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                work()
            except KeyboardInterrupt:
                print("heard")
            assert ggml.tensors.eval.is_lazy(x)
            assert small.tolist() == [2, 2, 2]
        assert long(3).sum().item() > 0
        """
    )
    assert done.stdout.split() == ["heard"] * 2


def test_ctrl_c_in_a_process_that_was_forked() -> None:
    done = run(
        """
        ggml.set_num_threads(2)
        (ggml.rand(256, 256) @ ggml.rand(256, 256)).numpy()
        pid = os.fork()
        if pid == 0:
            threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            try:
                long().numpy()
            except KeyboardInterrupt:
                sys.exit(5)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """
    )
    assert done.stdout.split() == ["5"]


def test_ctrl_c_while_waiting_for_another_thread() -> None:
    done = run(
        """
        x = long()
        thread = threading.Thread(target=x.numpy, daemon=True)
        thread.start()
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            while thread.is_alive():
                (ggml.rand(256, 256) @ ggml.rand(256, 256)).numpy()
        except KeyboardInterrupt:
            print("heard")
        """
    )
    assert done.stdout.split() == ["heard"]


def test_handlers_run_during_an_evaluation_which_goes_on() -> None:
    done = run(
        """
        heard = []
        def hear(number, frame):
            try:
                (ggml.ones(3) + len(heard)).tolist()
            except ggml.GgmlError as error:
                heard.append(str(error))
        signal.signal(signal.SIGALRM, hear)
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
        def fail(number, frame):
            raise OSError("a handler's own error")
        signal.signal(signal.SIGUSR1, fail)
        x = ggml.full((512, 512), 1e-3)
        while not heard:
            long(300).numpy()
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
        try:
            long().numpy()
        except OSError as error:
            print(error)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert "signal handlers cannot compute" in heard[0], heard
        assert (x + 1).shape == (512, 512)
        """
    )
    assert done.stdout == "a handler's own error\n"


def test_an_awaited_evaluation_ends_when_its_task_is_cancelled() -> None:
    done = run(
        """
        import asyncio
        async def main():
            x = long()
            task = asyncio.create_task(ggml.eval_async(x))
            await asyncio.sleep(0.5)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                print("cancelled")
            await ggml.eval_async(ggml.ones(2) + 1)
            assert ggml.tensors.eval.is_lazy(x)
        asyncio.run(main())
        """
    )
    assert done.stdout.split() == ["cancelled"]


# Exit


@pytest.mark.parametrize(
    "script",
    [
        "x = ggml.rand(64, 64) @ ggml.rand(64, 64); y = x + 1; a = x.numpy(); c = ggml.compile(lambda x: x @ x); c(x)",
        "import numpy as np; b = np.ones(4, np.float32); x = ggml.from_numpy(b); y = x.T; z = x + 1; sys.exit(0)",
        "import atexit; x = ggml.rand(64, 64); atexit.register(lambda: (x @ x).numpy())",
        "with ggml.arena() as kept: x = ggml.rand(9)\nsys.modules['kept'] = x, kept, x + 1 if False else None",
        "x = ggml.rand(64, 64); t = threading.Thread(target=lambda: [(x @ x).numpy() for _ in range(50)]); t.start()",
        "import queue; q = queue.Queue(); x = ggml.rand(64, 64)\n"
        "def work():\n"
        "    while True:\n"
        "        (x @ x).exp().numpy(); q.put(1)\n"
        "for _ in range(3): threading.Thread(target=work, daemon=True).start()\n"
        "q.get(); q.get()",
        "begun = threading.Event()\n"
        "def work():\n"
        "    begun.set(); long().numpy()\n"
        "threading.Thread(target=work, daemon=True).start(); begun.wait(); time.sleep(0.3)",
    ],
    ids=["live objects", "borrowed", "at exit", "arena", "thread", "daemons", "long daemon"],
)
def test_a_process_ends_cleanly(script: str) -> None:
    run(script)


def test_a_process_ends_cleanly_in_a_child() -> None:
    run(
        """
        ggml.set_num_threads(2)
        begun = threading.Event()
        def work():
            begun.set()
            long(400).numpy()
        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        pid = os.fork()
        if pid == 0:
            sys.exit(0)  # with what the other thread was at, which does not exist here
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        thread.join()
        """
    )


# Threads


def test_threads_that_share_lazy_tensors() -> None:
    """Each computes what hangs together; nobody sees a node that is half settled."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for turn in range(60):
                x = ggml.full((8,), float(turn)) + 1
                chain = [x]
                for _ in range(20):
                    chain.append(chain[-1] * 2 - chain[-1])
                ready = threading.Barrier(4)

                def look(part: list[ggml.Tensor], ready: threading.Barrier = ready) -> list[list[float]]:
                    ready.wait()
                    return [one.tolist() for one in part]

                parts = [chain, chain[::-1], chain[::2], [chain[-1] + 1, *chain]]
                for part, found in zip(parts, pool.map(look, parts), strict=True):
                    assert all(row == [turn + 1.0] * 8 for row in found[1 if len(part) > len(chain) else 0 :])
    finally:
        sys.setswitchinterval(interval)


def test_one_thread_frees_what_others_use() -> None:
    with ThreadPoolExecutor(3) as pool:
        for _ in range(50):
            with ggml.arena():
                x = ggml.rand(64, 64) + 1
                ggml.eval(x)
                wanted = x.numpy().sum()
                used = [pool.submit(lambda one=x: float(one.sum().item())) for _ in range(3)]
            for one in used:
                try:
                    assert one.result() == pytest.approx(wanted, rel=1e-5)
                except ggml.ClosedTensorError:
                    continue


def test_arrays_are_handed_out_while_another_thread_records() -> None:
    x = ggml.zeros(16).clone()
    ggml.eval(x)
    stop = threading.Event()
    faults = []

    def record() -> None:
        while not stop.is_set():
            values = set((x * 1).tolist())
            if len(values) != 1:
                faults.append(values)

    thread = threading.Thread(target=record)
    thread.start()
    begin_s = time.monotonic()
    while time.monotonic() - begin_s < 0.5:
        assert x.numpy().shape == (16,)
    stop.set()
    thread.join()
    assert not faults


def test_signals_in_other_threads_are_nobodys_business() -> None:
    """A thread that is not the main one computes while signals arrive: the main thread handles them."""
    heard = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.set())
    try:
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(lambda: (ggml.full((256, 256), 1e-3) @ ggml.ones(256, 256)).numpy())
            os.kill(os.getpid(), signal.SIGUSR1)
            assert np.isfinite(later.result(TIMEOUT_S)).all()
        assert heard.wait(TIMEOUT_S)
    finally:
        signal.signal(signal.SIGUSR1, before)
