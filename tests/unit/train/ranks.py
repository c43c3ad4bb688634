"""Ranks as processes, without Ray: ggml's tape belongs to one thread, so that each rank needs a process of its own."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from cluster.node.secret import Secret

SECRET = Secret(bytes(range(32)))
TIMEOUT_S = 40.0
ANSWER_S = 120.0  # the first answer comes after everything has been imported, on a machine that has other work


class Ranks:
    """Up to `most` processes, which are started once and serve all tests of a run. Close it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(self._most)]
        self._pipes = [ours for ours, _ in pairs]
        self._processes = [context.Process(target=_serve, args=(theirs,), daemon=True) for _, theirs in pairs]
        for process in self._processes:
            process.start()

    def run(self, world_size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What the function of a test module returns on each rank, inside a group of `world_size`."""
        try:
            return self._ran(world_size, function, arguments)
        except BaseException:
            for process in self._processes:  # whatever they are at: the next test is to begin anew
                process.kill()
            self._start()
            raise

    def _ran(self, world_size: int, function: Callable[..., Any], arguments: Sequence[Any]) -> list[Any]:
        pipes = self._pipes[:world_size]
        for rank, pipe in enumerate(pipes):
            pipe.send((rank, world_size, function, arguments))
        addresses = [_got(pipe) for pipe in pipes]
        for pipe in pipes:
            pipe.send(addresses)
        found = [_got(pipe) for pipe in pipes]
        failed = [text for is_well, text in found if not is_well]
        assert not failed, "\n".join(failed)
        return [result for _, result in found]

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join(10)
            process.kill()


def _got(pipe: Connection) -> Any:
    assert pipe.poll(ANSWER_S), "a rank does not answer"
    return pipe.recv()


def _serve(pipe: Connection) -> None:
    import ggml
    from cluster.train import default_group
    from cluster.train.process_group import ProcessGroup
    from cluster.wire.access.endpoint import Listener

    ggml.set_num_threads(1)
    while (work := pipe.recv()) is not None:
        rank, world_size, function, arguments = work
        group = ProcessGroup(rank, world_size, Listener(SECRET), TIMEOUT_S)
        pipe.send(group.address)
        try:
            _join(group, pipe.recv())
            default_group.prepare(group)
            default_group.init_process_group()
            pipe.send((True, function(*arguments)))
        except BaseException:
            pipe.send((False, traceback.format_exc()))
        finally:
            if default_group.is_initialized():
                default_group.destroy_process_group()
            group.close()


def _join(group: Any, addresses: Sequence[str]) -> None:
    from cluster.wire.access.endpoint import Endpoint

    group.join([Endpoint(address, SECRET) for address in addresses])
