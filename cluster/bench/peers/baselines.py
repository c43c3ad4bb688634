"""Which peers a cluster is compared with, started on the same machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace

from cluster.api.errors import ClusterError
from cluster.api.status import StageStatus
from cluster.bench.peers.commands import WholeOrders
from cluster.bench.workload import Workload
from cluster.node.child import Child
from cluster.node.machine import available_bytes
from cluster.node.ports import free_port
from cluster.stage.spec import StageSpec
from cluster.terminal.activity import Activity
from cluster.terminal.table import format_bytes

LOAD_TIMEOUT_S = 900.0
RUN_TIMEOUT_S = 1800.0
LISTEN_TIMEOUT_S = 20.0
ONE_PROCESS, RPC_ONE_THREAD, RPC_ALL_CORES = "one process", "RPC, 1 thread", "RPC, all cores"
WHOLE, SERVER = "cluster.bench.peers.whole", "cluster.bench.peers.rpc_server"


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer. `name` heads its columns."""

    name: str
    child: Child

    def run(self, workload: Workload, run: int) -> float:
        """Seconds that the workload takes there, with the prompts of that run. ClusterError if the peer dies."""
        return float(self.child.ask({"run": run, **asdict(workload)}, RUN_TIMEOUT_S)["seconds"])


@dataclass(frozen=True, slots=True)
class Baselines:
    """The peers that run, and a line for each that could not be had."""

    peers: tuple[Peer, ...]
    missing: tuple[str, ...]


@contextmanager
def running_peers(
    orders: WholeOrders, stages: Sequence[StageStatus], note: Callable[[str], None] = lambda text: None
) -> Iterator[Baselines]:
    """Start all peers of a cluster of `stages`; `orders` say how to hold the model, threads and servers aside."""
    num_cores = len(os.sched_getaffinity(0))
    wanted = [(RPC_ONE_THREAD, len(stages), 1), (RPC_ALL_CORES, len(stages), num_cores), (ONE_PROCESS, 0, num_cores)]
    with ExitStack() as stack:
        peers, missing = [], []
        for name, num_servers, num_threads in wanted:
            note(f"loading llama.cpp: {name}")
            try:
                check_room(stages, available_bytes())
                told = replace(orders, num_threads=num_threads)
                with Activity(f"loading {name}"):
                    peers.append(Peer(name, start_whole(stack, told, stages[:num_servers])))
            except ClusterError as error:
                missing.append(f"{name}: {error}")
        yield Baselines(tuple(peers), tuple(missing))


def check_room(stages: Sequence[StageStatus], free_bytes: int) -> None:
    """ClusterError unless as much memory is free as all stages on the CPU take together."""
    needed = sum(stage.weight_bytes + stage.kv_bytes for stage in stages if stage.device == "CPU")
    if free_bytes and needed > free_bytes:
        raise ClusterError(f"{format_bytes(needed)} of memory are needed and {format_bytes(free_bytes)} are free")


def start_whole(stack: ExitStack, orders: WholeOrders, stages: Sequence[StageStatus | StageSpec]) -> Child:
    """The process that holds the model, and its RPC servers, one for each of `stages`. Stopped by `stack`."""
    endpoints = tuple(_start_server(stack, orders.num_threads, stage.device) for stage in stages)
    layers = tuple(stage.end - stage.first for stage in stages)
    child = Child(WHOLE, replace(orders, endpoints=endpoints, layers=layers).to_json())
    stack.callback(child.close)
    child.read(LOAD_TIMEOUT_S)
    return child


def _start_server(stack: ExitStack, num_threads: int, device: str) -> str:
    endpoint = f"127.0.0.1:{free_port()}"
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
