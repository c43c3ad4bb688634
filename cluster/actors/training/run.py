"""A run of training: a Ray, a crew of workers in it, and another crew when one of them has died."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.actors.asking.listing import ray_of
from cluster.actors.ground import foreign
from cluster.actors.ground.foreign_nodes import are_here, check_encrypted
from cluster.actors.ray_side.start.environment import use_foreign, use_ray
from cluster.actors.ray_side.start.head import start_head
from cluster.actors.training.died import WorkerDiedError
from cluster.actors.training.output import Show
from cluster.actors.training.passes import Passes
from cluster.actors.training.seats import Seat, seats_here, seats_over
from cluster.api.errors import UnreachableError
from cluster.node.home import Home, read_home
from cluster.node.processes import end_marked
from cluster.node.ray_health import find_ray_processes
from cluster.node.run_folder import make_run_folder, remove_run_folder, run_folder_path
from cluster.node.secret import Secret, write_secret
from cluster.node.state import state_path

SECRET_FILE = "ring-secret"

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is to be."""

    script: Path
    arguments: Sequence[str]
    num_workers: int
    max_restarts: int
    ray: foreign.Asked | None = None  # the Ray that it is to run in; None for one of its own, on this machine
    num_nodes: int | None = None  # in that Ray; None for those that are there
    in_cluster: bool = False  # in the Ray of the cluster that this machine takes part in; `ray` is None then
    is_secure: bool = True  # between machines


def train(asked: Asked, note: Note, show: Show) -> str:
    """Run the script on every rank, to the end. Returns why it failed, or nothing.

    Where a process dies, all ranks begin the script again, up to `max_restarts` times, on the nodes that live then:
    what it has saved, as with a Checkpointer, is where it goes on. A script that raises is not run again. ClusterError
    where nothing can be started.
    """
    with _ray(asked, note) as run_folder:
        from cluster.actors.training.crew import TrainingCrew  # Ray reads its environment when it is imported

        for attempt in range(asked.max_restarts + 1):
            seats, passes = _seated(asked, run_folder, note)
            crew = TrainingCrew(seats, passes)
            try:
                crew.begin(str(asked.script), asked.arguments)
                machines = len({seat.node for seat in seats})
                note(f"{asked.num_workers} workers on {'1 machine' if machines == 1 else f'{machines} machines'}")
                return crew.watch(show)
            except WorkerDiedError as error:
                if attempt == asked.max_restarts:
                    return str(error)
                note(f"{error}; all begin again, {attempt + 1} of {asked.max_restarts} times")
            finally:
                crew.end()
    raise AssertionError("the last attempt returns")


def _seated(asked: Asked, run_folder: Path, note: Note) -> tuple[list[Seat], Passes]:
    """Where the ranks of the next attempt run, and what they know each other by."""
    if asked.ray is None and not asked.in_cluster:
        seats = seats_here(asked.num_workers)
    else:
        from cluster.actors.training.nodes import wait_for_nodes

        nodes = wait_for_nodes(asked.num_nodes, note)
        seats = seats_over(nodes, asked.num_workers)
        if not are_here(nodes):
            if asked.is_secure:
                check_encrypted(nodes)
            return seats, Passes(None, is_secure=asked.is_secure)
    secret_file = run_folder / SECRET_FILE
    write_secret(secret_file, Secret.new())
    return seats, Passes(secret_file)


@contextmanager
def _ray(asked: Asked, note: Note) -> Iterator[Path]:
    """A Ray, for as long as the block runs; the run folder of this run."""
    if asked.in_cluster:
        home = read_home(state_path().parent)
        address, _, cluster_folder = ray_of(home)
        note(f"attaching to the cluster's Ray at {address}")
        with _attached(address, Path(cluster_folder) if cluster_folder else None, home) as run_folder:
            yield run_folder
    elif asked.ray is None:
        with _own_ray(asked.num_workers, note) as run_folder:
            yield run_folder
    else:
        address = foreign.running_ray(asked.ray)
        note(f"attaching to Ray at {address}")
        try:
            with _attached(address) as run_folder:
                yield run_folder
        except UnreachableError as error:
            raise asked.ray.unreachable(error) from error


@contextmanager
def _attached(address: str, cluster_folder: Path | None = None, home: Home | None = None) -> Iterator[Path]:
    """A Ray that others have started and that stays; the run folder of this run.

    `cluster_folder`: that of the cluster whose own Ray it is; `home`: of this node in it.
    """
    instance = secrets.token_hex(16)
    run_folder = run_folder_path(instance)
    make_run_folder(run_folder)
    try:
        if cluster_folder is None:
            use_foreign()
        else:
            use_ray(cluster_folder, home if home is not None and home.record is not None else None)
        with _connected(address, instance, home or Home(run_folder)):
            yield run_folder
    finally:
        remove_run_folder(run_folder)


@contextmanager
def _connected(address: str, instance: str, home: Home) -> Iterator[None]:
    import ray  # not before: it reads its environment then

    from cluster.actors.ray_side.calls import connect

    connect(address, f"train-{instance[:8]}", home)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _own_ray(num_workers: int, note: Note) -> Iterator[Path]:
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
        with _connected(address, instance, Home(run_folder)):
            yield run_folder
    finally:
        end_marked(instance, known)
        remove_run_folder(run_folder)
