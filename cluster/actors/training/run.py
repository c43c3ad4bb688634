"""TrainingRun: a Ray of its own, a crew of workers in it, and another crew when one of them has died."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.actors.ray_side.start.environment import use_ray
from cluster.actors.ray_side.start.head import start_head
from cluster.actors.training.died import WorkerDiedError
from cluster.actors.training.output import Show
from cluster.node.home import Home
from cluster.node.processes import end_marked
from cluster.node.ray_health import find_ray_processes
from cluster.node.run_folder import make_run_folder, remove_run_folder, run_folder_path
from cluster.node.secret import Secret, write_secret

SECRET_FILE = "ring-secret"

Note = Callable[[str], None]


def train(script: Path, arguments: Sequence[str], num_workers: int, max_restarts: int, note: Note, show: Show) -> str:
    """Run `script` on every rank, to the end. Returns why it failed, or nothing.

    Where a process dies, all ranks begin the script again, up to `max_restarts` times: what it has saved, as with a
    Checkpointer, is where it goes on. A script that raises is not run again. ClusterError where nothing can be started.
    """
    num_threads = max(1, len(os.sched_getaffinity(0)) // num_workers)
    with _ray(num_workers, note) as run_folder:
        from cluster.actors.training.crew import TrainingCrew  # Ray reads its environment when it is imported

        secret_file = run_folder / SECRET_FILE
        for attempt in range(max_restarts + 1):
            write_secret(secret_file, Secret.new())
            crew = TrainingCrew(num_workers, str(secret_file))
            try:
                crew.begin(str(script), arguments, num_threads)
                note(f"{num_workers} workers, {num_threads} threads each")
                return crew.watch(show)
            except WorkerDiedError as error:
                if attempt == max_restarts:
                    return str(error)
                note(f"{error}; all begin again, {attempt + 1} of {max_restarts} times")
            finally:
                crew.end()
    raise AssertionError("the last attempt returns")


@contextmanager
def _ray(num_workers: int, note: Note) -> Iterator[Path]:
    """One on this machine, for as long as the block runs; its run folder."""
    instance = secrets.token_hex(16)
    run_folder = run_folder_path(instance)
    make_run_folder(run_folder)
    known: list[tuple[int, int]] = []
    try:
        note("starting Ray on this machine")
        address = start_head(instance, run_folder, num_workers)
        known = [(process.pid, process.start_ticks) for process in find_ray_processes(instance)]
        use_ray(run_folder)
        import ray  # not before: it reads its environment then

        from cluster.actors.ray_side.calls import connect

        connect(address, f"train-{instance[:8]}", Home(run_folder))
        try:
            yield run_folder
        finally:
            ray.shutdown()
    finally:
        end_marked(instance, known)
        remove_run_folder(run_folder)
