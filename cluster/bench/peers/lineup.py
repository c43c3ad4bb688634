"""Which peers a cluster is compared with, started on the same machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace

from cluster.bench.machine import count_threads
from cluster.bench.peers.orders import WholeOrders
from cluster.bench.workload import Workload
from cluster.child import Child
from cluster.errors import ClusterError
from cluster.messages import StageStatus

LOAD_TIMEOUT_S = 900.0
RUN_TIMEOUT_S = 1800.0
LISTEN_TIMEOUT_S = 20.0
WHOLE, SERVER = "cluster.bench.peers.whole", "cluster.bench.peers.rpc_server"


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer. `name` heads its column."""

    name: str
    child: Child

    def run(self, workload: Workload) -> float:
        """Seconds that the workload takes there. ClusterError if the peer dies."""
        return float(self.child.ask(asdict(workload), RUN_TIMEOUT_S)["seconds"])


@dataclass(frozen=True, slots=True)
class Lineup:
    """The peers that run, and a line for each that could not be had."""

    peers: tuple[Peer, ...]
    missing: tuple[str, ...]


@contextmanager
def running_peers(
    orders: WholeOrders, stages: Sequence[StageStatus], note: Callable[[str], None] = lambda text: None
) -> Iterator[Lineup]:
    """Start all peers of a cluster of `stages`; `orders` say how to hold the model, threads and servers aside."""
    num_cores = len(os.sched_getaffinity(0))
    num_stages = len(stages)
    wanted = [(f"one process, {count_threads(num_cores)}", 0, num_cores)]
    for num_threads in dict.fromkeys((1, num_cores)):
        wanted.append((f"RPC {num_stages} x {count_threads(num_threads)}", num_stages, num_threads))
    with ExitStack() as stack:
        peers, missing = [], []
        for name, num_servers, num_threads in wanted:
            note(f"loading llama.cpp: {name}")
            try:
                told = replace(orders, num_threads=num_threads)
                peers.append(Peer(name, _start(stack, told, stages[:num_servers])))
            except ClusterError as error:
                missing.append(f"{name}: {error}")
        yield Lineup(tuple(peers), tuple(missing))


def _start(stack: ExitStack, orders: WholeOrders, stages: Sequence[StageStatus]) -> Child:
    """The process that holds the model, and its RPC servers, one for each of `stages`. Stopped by `stack`."""
    endpoints = tuple(_start_server(stack, orders.num_threads, stage.device) for stage in stages)
    layers = tuple(stage.end - stage.first for stage in stages)
    child = Child(WHOLE, replace(orders, endpoints=endpoints, layers=layers).to_json())
    stack.callback(child.close)
    child.read(LOAD_TIMEOUT_S)
    return child


def _start_server(stack: ExitStack, num_threads: int, device: str) -> str:
    endpoint = f"127.0.0.1:{_free_port()}"
    child = Child(SERVER, endpoint, str(num_threads), device)
    stack.callback(child.close)
    child.read(LISTEN_TIMEOUT_S)
    _await_listening(endpoint)
    return endpoint


def _await_listening(endpoint: str) -> None:
    host, _, port = endpoint.partition(":")
    deadline_s = time.monotonic() + LISTEN_TIMEOUT_S
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
            return
        except OSError as error:
            if time.monotonic() > deadline_s:
                raise ClusterError(f"llama.cpp: its RPC server does not listen at {endpoint}") from error
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
