"""What runs in a worker: tasks come in, batches go out, and the process ends when its loader lets go of the pipe.

Two threads keep the pipe moving in both directions while the main one fetches. Without them a loader that sends and a
worker that answers could each wait for the other to read.
"""

from __future__ import annotations

import os
import pickle
import queue
import random as python_random
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

import ggml.ops.namespace  # noqa: F401  # tensors have methods from all rows, also where nobody asks `ggml` for a name
from ggml.data.fetching import ByIndex, Exhausted, Fetcher, fetcher
from ggml.data.workers.info import WorkerInfo, set_worker_info
from ggml.data.workers.messages import Ended, Epoch, Failed, Setup, Task, failed
from ggml.graph.threads import set_num_threads
from ggml.ops.create.random import default_generator

# How long a dataset may go on with one sample after its loader is gone.
GRACE_S = 5.0


def run(pipe: Connection[Any, Any], worker_id: int) -> None:
    """The main function of a worker's process. ``worker_id`` counts from 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the loader is interrupted, and then closes the pipe
    tasks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    done = threading.Event()
    threading.Thread(target=_receive, args=(pipe, tasks, done), daemon=True).start()
    sender = threading.Thread(target=_send, args=(pipe, answers), daemon=True)
    sender.start()
    try:
        _work(_State(worker_id), tasks, answers)
    finally:
        answers.put(None)
        sender.join(GRACE_S)
        done.set()


def _receive(pipe: Connection[Any, Any], tasks: queue.SimpleQueue[bytes | None], done: threading.Event) -> None:
    try:
        while True:
            tasks.put(pipe.recv_bytes())
    except (EOFError, OSError):
        tasks.put(None)
    if not done.wait(GRACE_S):
        os._exit(1)  # a dataset that never returns must not outlive its loader


def _send(pipe: Connection[Any, Any], answers: queue.SimpleQueue[bytes | None]) -> None:
    while (answer := answers.get()) is not None:
        try:
            pipe.send_bytes(answer)
        except OSError:  # nobody reads any longer: the other thread ends the work
            return


def _work(state: _State, tasks: queue.SimpleQueue[bytes | None], answers: queue.SimpleQueue[bytes | None]) -> None:
    while (message := tasks.get()) is not None:
        answer = state.answer(message)
        if answer is not None:
            answers.put(answer)


class _State:
    """What a worker knows. An error at the beginning answers every task, because nothing was asked for then."""

    def __init__(self, worker_id: int) -> None:
        self.worker_id = worker_id
        self.setup: Setup | None = None
        self.fetcher: Fetcher | None = None
        self.base_seed = 0
        self.is_ended = False
        self.problem: Failed | None = None

    def answer(self, message: bytes) -> bytes | None:
        """The pickled answer to a pickled message; None to those that have none."""
        task: Any = None
        try:
            task = pickle.loads(message)
            if isinstance(task, Task):
                return pickle.dumps(self._batch(task), protocol=pickle.HIGHEST_PROTOCOL)
            if isinstance(task, Setup):
                self.setup = task
            else:
                self._begin(task)
        except Exception as error:
            problem = failed(error, self.worker_id)
            if isinstance(task, Task):
                return pickle.dumps(problem)
            self.problem = problem
        return None

    def _begin(self, epoch: Epoch) -> None:
        setup = self.setup
        if setup is None:
            return  # the setup could not be read, which answers every task
        self.problem, self.base_seed, self.is_ended = None, epoch.base_seed, False
        is_first = self.fetcher is None
        seed = epoch.base_seed + setup.worker_id
        if is_first:
            set_num_threads(1)  # the other workers have the other cores
        _seed(seed)
        set_worker_info(WorkerInfo(setup.worker_id, setup.num_workers, seed, setup.dataset))
        if is_first and setup.worker_init_fn is not None:
            setup.worker_init_fn(setup.worker_id)
        self.fetcher = fetcher(setup.dataset, setup.collate_fn, setup.is_batched, setup.drop_last)

    def _batch(self, task: Task) -> Any:
        if self.problem is not None:
            return self.problem
        if self.is_ended:
            return Ended()
        assert self.fetcher is not None
        if isinstance(self.fetcher, ByIndex):
            # What a batch draws depends on its number alone: not on who fetches it, nor on what was fetched before.
            default_generator.manual_seed(batch_seed(self.base_seed, task.number))
        try:
            return self.fetcher.fetch(task.indices)
        except Exhausted:
            self.is_ended = True
            return Ended()


def batch_seed(base_seed: int, number: int) -> int:
    """The seed of what is drawn for one batch of an epoch."""
    return int(np.random.SeedSequence([base_seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _seed(seed: int) -> None:
    """All generators that a dataset may draw from, as PyTorch's workers do."""
    default_generator.manual_seed(seed)
    python_random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
