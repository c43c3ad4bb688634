"""Two workers of one thread each beside one process of two threads: ``python -m cluster.train.benchmark``.

Both sides take the same steps over the same joint batch, with processes that stay, in turns: ours, theirs, ours,
theirs. So what else the machine does meets both. Printed are medians, and the ratio within each turn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import ggml
from cluster.node.secret import Secret
from cluster.train import DistributedDataParallel, default_group
from cluster.train.process_group import ProcessGroup
from cluster.wire.access.endpoint import Endpoint, Listener
from ggml import nn, optim

START_S = 180.0
INPUTS, CLASSES = 784, 10


class Wanted(NamedTuple):
    """What one process is to be."""

    rank: int
    world_size: int
    num_threads: int
    width: int
    num_rows: int  # of this rank
    is_compiled: bool


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m cluster.train.benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="and threads of the one process (default: %(default)s)")
    parser.add_argument("--width", type=int, default=512, help="of both hidden layers (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=512, help="rows of a joint batch (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="of a turn (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=7, help="of each side (default: %(default)s)")
    parser.add_argument("--compiled", action="store_true", help="steps of ggml.compile_step in place of the plain loop")
    options = parser.parse_args()
    alone = _Side(1, options.workers, options)
    together = _Side(options.workers, 1, options)
    try:
        for side in (together, alone):
            side.turn(2)  # graphs are built
        turns = [(together.turn(options.steps), alone.turn(options.steps)) for _ in range(options.turns)]
    finally:
        for side in (together, alone):
            side.close()
    ours, theirs = (statistics.median(column) * 1e3 / options.steps for column in zip(*turns, strict=True))
    ratios = sorted(other / own for own, other in turns)
    print(
        f"MLP {INPUTS}-{options.width}-{options.width}-{CLASSES}, joint batch of {options.batch}, AdamW, "
        f"{'compiled' if options.compiled else 'plain'} loop, ms of a step"
    )
    print(f"{options.workers} workers, 1 thread each     {ours:8.1f}")
    print(f"1 process, {options.workers} threads         {theirs:8.1f}")
    middle = statistics.median(ratios)
    print(f"ratio, median of {len(ratios)} turns   {middle:8.2f}   ({ratios[0]:.2f} to {ratios[-1]:.2f})")


class _Side:
    """Processes that train together, one turn at a time. Close it."""

    def __init__(self, world_size: int, num_threads: int, options: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(world_size)]
        secret = Secret.new()
        self._pipes = [ours for ours, _ in pairs]
        self._processes = []
        for rank, (_, theirs) in enumerate(pairs):
            num_rows = options.batch // world_size
            wanted = Wanted(rank, world_size, num_threads, options.width, num_rows, options.compiled)
            process = context.Process(target=_serve, args=(theirs, wanted, secret), daemon=True)
            process.start()
            self._processes.append(process)
        addresses = [_got(pipe) for pipe in self._pipes]
        for pipe in self._pipes:
            pipe.send(addresses)

    def turn(self, num_steps: int) -> float:
        """Seconds until all have taken so many steps."""
        begin_s = time.perf_counter()
        for pipe in self._pipes:
            pipe.send(num_steps)
        for pipe in self._pipes:
            _got(pipe)
        return time.perf_counter() - begin_s

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(0)
        for process in self._processes:
            process.join(10)
            process.kill()


def _got(pipe: Connection) -> Any:
    if not pipe.poll(START_S):
        raise TimeoutError("a process of the benchmark does not answer")
    return pipe.recv()


def _serve(pipe: Connection, wanted: Wanted, secret: Secret) -> None:
    """One process of a side."""
    ggml.set_num_threads(wanted.num_threads)
    group = ProcessGroup(wanted.rank, wanted.world_size, Listener(secret))
    pipe.send(group.address)
    group.join([Endpoint(address, secret) for address in pipe.recv()])
    default_group.prepare(group)
    default_group.init_process_group()
    ggml.manual_seed(0)
    width = wanted.width
    inner = nn.Sequential(
        nn.Linear(INPUTS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)
    )
    model = DistributedDataParallel(inner)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    inputs, targets = ggml.randn(wanted.num_rows, INPUTS), ggml.randint(0, CLASSES, (wanted.num_rows,))
    compiled = ggml.compile_step(model, nn.functional.cross_entropy, optimizer)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    while num_steps := pipe.recv():
        for _ in range(num_steps):
            if wanted.is_compiled:
                compiled(inputs, targets)
            else:
                step()
        pipe.send(num_steps)
    group.close()


if __name__ == "__main__":
    main()
