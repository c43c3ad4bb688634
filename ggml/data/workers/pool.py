"""Starts workers, talks to them, and ends them: also when nobody asks for it."""

from __future__ import annotations

import os
import pickle
import time
import weakref
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess, current_process
from typing import Any

from ggml.core.errors import ArgumentError, WorkerError
from ggml.data.workers.messages import Setup
from ggml.data.workers.worker import GRACE_S, run


class Pool:
    """``num_workers`` processes. They end when this object is let go of, when it is closed, and with this process."""

    def __init__(self, setup: Setup, context: BaseContext) -> None:
        if current_process().daemon:
            why = "must be 0 in a process that may have no children, such as a worker of another loader"
            raise ArgumentError("DataLoader", "num_workers", why)
        # All are made before the first starts: what cannot be sent is an error that leaves no process behind.
        setups = [_sendable(setup, worker_id) for worker_id in range(setup.num_workers)]
        self._processes: list[BaseProcess] = []
        self._pipes: list[Connection[Any, Any]] = []
        self._close = weakref.finalize(self, _end, self._processes, self._pipes, os.getpid())
        for worker_id in range(setup.num_workers):
            ours, theirs = context.Pipe()
            self._pipes.append(ours)
            process = context.Process(target=run, args=(theirs, worker_id), daemon=True)  # type: ignore[attr-defined]
            process.start()
            self._processes.append(process)
            theirs.close()  # so that the end of the worker is the end of the pipe
        for worker_id, message in enumerate(setups):
            self._write(worker_id, message)

    @property
    def is_open(self) -> bool:
        return self._close.alive

    @property
    def pids(self) -> list[int | None]:
        return [process.pid for process in self._processes]

    def send(self, worker: int, message: Any) -> None:
        """Hand over a message. It waits for no answer: workers read at all times."""
        self._write(worker, pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))

    def receive(self, worker: int, timeout_s: float) -> Any:
        """The worker's next answer. WorkerError if it is dead, or after ``timeout_s`` seconds that are not 0."""
        pipe, process = self._pipes[worker], self._processes[worker]
        if not wait([pipe, process.sentinel], timeout_s or None):
            why = f"no batch after {timeout_s} s; a larger timeout waits longer"
            raise WorkerError(worker, process.pid, None, why)
        try:
            if pipe.poll():  # what it sent before it died still counts
                return pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            pass
        raise self._death(worker)

    def close(self) -> None:
        """End all workers, and wait until they are gone."""
        self._close()

    def _write(self, worker: int, message: bytes) -> None:
        try:
            self._pipes[worker].send_bytes(message)
        except OSError:
            raise self._death(worker) from None

    def _death(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(GRACE_S)
        code = process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"exited with code {code}"
        why = (
            f"it {how} before it answered. Look above for what it printed; a script that starts workers needs"
            " `if __name__ == '__main__':` around what it does, and num_workers=0 shows errors where they happen"
        )
        return WorkerError(worker, process.pid, code, why)


def _sendable(setup: Setup, worker_id: int) -> bytes:
    own = Setup(
        worker_id,
        setup.num_workers,
        setup.dataset,
        setup.collate_fn,
        setup.worker_init_fn,
        setup.is_batched,
        setup.drop_last,
    )
    try:
        return pickle.dumps(own, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # whatever a foreign object raises
        why = f"={setup.num_workers} needs a dataset and functions that can be pickled: {error}"
        hint = "; define them at the top level of a module, or use num_workers=0"
        raise ArgumentError("DataLoader", "num_workers", why + hint) from error


def _end(processes: list[BaseProcess], pipes: list[Connection[Any, Any]], owner: int) -> None:
    """A worker ends when its pipe does. One that does not within ``GRACE_S`` seconds is ended."""
    if os.getpid() != owner:
        return  # a forked process has copies of what is not its own
    for pipe in pipes:
        pipe.close()
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join()
        process.close()
