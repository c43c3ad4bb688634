"""Batches from processes: as without them, whatever happens to them, and none is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.data import DataLoader, TensorDataset
from tests.ggml.data.samples import Facts, Noisy, Seeds, Told, big, first, leave

# Starts of processes are what takes time here: their server has the imports, so that each is a fork of that.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["ggml.data.workers.worker", "tests.ggml.data.samples"])


def loader(dataset: Any, *args: Any, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset, *args, **{"num_workers": 2, "multiprocessing_context": CONTEXT, **options})


def values(batches: Any) -> list[Any]:
    """Batches as plain data."""
    if isinstance(batches, (list, tuple)):
        return [values(one) for one in batches]
    return batches.tolist() if isinstance(batches, ggml.Tensor) else batches


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_order_and_draws_do_not_depend_on_the_number_of_workers() -> None:
    found = []
    for num_workers in (1, 3):
        ggml.manual_seed(5)
        found.append(values(list(loader(Noisy(), 3, shuffle=True, num_workers=num_workers))))
    ggml.manual_seed(5)
    inline = values(list(DataLoader(Noisy(), 3, shuffle=True)))
    assert found[0] == found[1]
    assert [batch[0] for batch in found[0]] == [batch[0] for batch in inline]
    drawn = np.array([row for _, rows in found[0] for row in rows]) % 1
    assert len(np.unique(drawn.round(5))) == drawn.size  # no batch draws what another did


def test_spawned_workers_need_no_server() -> None:
    x = ggml.arange(6).to(ggml.bfloat16)
    (batch,), (rest,) = DataLoader(TensorDataset(x), 4, num_workers=1)
    assert (batch.dtype, batch.tolist(), rest.tolist()) == (ggml.bfloat16, [0, 1, 2, 3], [4, 5])


def test_a_pass_goes_on_where_it_was() -> None:
    ggml.manual_seed(7)
    whole = loader(Noisy(), 3, shuffle=True)
    batches = iter(whole)
    next(batches), next(batches)
    state = whole.state_dict()
    again = loader(Noisy(), 3, shuffle=True, num_workers=1)
    again.load_state_dict(state)
    assert values(list(again)) == values(list(batches))


def test_streams() -> None:
    stream = loader(Facts(), 2)
    batches = iter(stream)
    assert values([next(batches), next(batches), next(batches)]) == [[0, 2], [1, 3], [4, 6]]
    state = stream.state_dict()
    rest = values(list(batches))
    assert rest == [[5, 7], [8, 10], [9]]
    again = loader(Facts(), 2)
    again.load_state_dict(state)
    assert values(list(again)) == rest


def test_workers_that_stay() -> None:
    ggml.manual_seed(1)
    stay = loader(Seeds(), None, worker_init_fn=leave, persistent_workers=True)
    once = list(stay)
    assert stay._pool is not None
    pids = stay._pool.pids
    again = list(stay)
    assert stay._pool.pids == pids and all(is_alive(pid) for pid in pids if pid)
    assert [one["id"] for one in once] == [0, 1] and [one["left"] for one in again] == [100, 101]
    assert once[1]["seed"] == once[0]["seed"] + 1 != again[1]["seed"]
    for kind in ("random", "numpy"):
        assert len({one[kind] for one in once + again}) == 4
    half = iter(stay)
    next(half)
    assert len(list(stay)) == 2 and stay._pool.pids == pids  # what was under way is thrown away
    del half, stay
    assert not any(is_alive(pid) for pid in pids if pid)


def test_errors_arrive_with_their_traceback() -> None:
    batches = iter(loader(Told(), None, sampler=[2, 3, 4, 5, 0]))
    with pytest.raises(ValueError, match=r"Caught ValueError in DataLoader worker process 0\.(.|\n)*the second is"):
        next(batches)
    with pytest.raises(ggml.ShapeMismatchError, match=r"worker process 1(.|\n)*in __getitem__") as caught:
        next(batches)
    assert (caught.value.op, caught.value.got) == ("matmul", ((2,), (3,)))
    with pytest.raises(KeyError, match=r"Original Traceback(.|\n)*samples\.py"):
        next(batches)
    with pytest.raises(Exception, match=r"Can't (get|pickle) local object"):
        next(batches)
    assert list(batches) == [0]  # the others go on


def test_a_worker_that_dies() -> None:
    with pytest.raises(ggml.WorkerError, match="exited with code 3 before it answered") as caught:
        list(loader(Told(), None, sampler=[7, 0]))
    assert (caught.value.worker, caught.value.exitcode) == (0, 3)
    broken: Any = iter(loader(Told(), None, sampler=[7, 0]))
    pids = broken._pool.pids
    for _ in range(2):  # it never looks like the end of an epoch
        with pytest.raises(ggml.WorkerError, match="exited with code 3"):
            next(broken)
    assert not any(is_alive(pid) for pid in pids)
    batches: Any = iter(loader(Told(), None, sampler=[6], num_workers=1))
    pid = batches._pool.pids[0]
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ggml.WorkerError, match=rf"worker 0 \(pid {pid}\): it was killed by signal 9"):
        next(batches)


def test_workers_that_stay_are_started_again_after_a_death() -> None:
    stay = loader(Noisy(2), None, num_workers=1, persistent_workers=True)
    assert len(list(stay)) == 2 and stay._pool is not None
    (pid,) = stay._pool.pids
    os.kill(pid or 0, signal.SIGKILL)
    with pytest.raises(ggml.WorkerError, match="killed by signal 9"):
        list(stay)
    assert len(list(stay)) == 2 and stay._pool.pids != [pid]


def test_a_worker_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ggml.data.workers.pool.GRACE_S", 0.2)
    batches: Any = iter(loader(Told(), None, sampler=[6], num_workers=1, timeout=0.5))
    pid = batches._pool.pids[0]
    with pytest.raises(ggml.WorkerError, match=r"no batch after 0\.5 s"):
        next(batches)
    del batches
    assert not is_alive(pid)


def test_nothing_is_left_of_a_pass_that_was_dropped() -> None:
    batches: Any = iter(loader(Noisy(40), 1, collate_fn=big, prefetch_factor=4))
    assert next(batches)[0] == 0
    pids = batches._pool.pids
    begun = time.monotonic()
    del batches
    assert not any(is_alive(pid) for pid in pids)
    assert time.monotonic() - begun < 5  # they end by themselves: nobody waits for a limit


def test_workers_end_with_a_process_that_is_killed() -> None:
    script = """
        import sys, time
        from ggml.data import DataLoader
        from tests.ggml.data.samples import Noisy
        if __name__ == "__main__":
            batches = iter(DataLoader(Noisy(40), 1, num_workers=1))
            next(batches)
            print(batches._pool.pids[0], flush=True)
            time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_alive(pid)
        process.kill()
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_what_cannot_be_sent_or_forked() -> None:
    with pytest.raises(ggml.ArgumentError, match="needs a dataset and functions that can be pickled"):
        iter(loader(Noisy(), collate_fn=lambda samples: samples))
    with pytest.raises(ggml.ArgumentError, match="must be 'spawn' or 'forkserver'"):
        iter(loader(Noisy(), multiprocessing_context="fork"))


def test_a_function_of_ones_own_makes_batches() -> None:
    assert [index for index, _ in loader(Noisy(4), 2, collate_fn=first)] == [0, 2]
