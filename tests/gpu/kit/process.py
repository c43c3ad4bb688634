"""An object that lives in a process of its own and answers calls, one after the other."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from cluster.api.errors import ClusterError

CALL_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0


class Remote:
    """`kind(*arguments)` in a new process, which has `environment` added before it imports what it needs. Close it."""

    def __init__(self, kind: type, *arguments: Any, environment: Mapping[str, str] | None = None) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = kind.__name__
        self._connection, theirs = context.Pipe()
        place = kind.__module__, kind.__name__
        # Not a daemon: it may have children of its own, such as the one that tokenises.
        self._process = context.Process(target=_serve, args=(theirs, place, arguments, dict(environment or {})))
        self._process.start()
        theirs.close()

    def call(self, method: str, *arguments: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """What the method returns. What it raises is raised here; ClusterError if the process is dead or too slow."""
        try:
            self._connection.send((method, arguments))
            if not self._connection.poll(timeout_s):
                raise ClusterError(f"{self._name}: {method} has not ended within {timeout_s:.0f} s")
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(END_TIMEOUT_S)
            raise ClusterError(f"{self._name}: its process ended with {self._process.exitcode}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the process, and wait until it is gone."""
        self._connection.close()
        self._process.join(END_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(
    connection: Connection, place: tuple[str, str], arguments: tuple[Any, ...], environment: dict[str, str]
) -> None:
    """Until the other end is closed."""
    import importlib

    from cluster.node.child import die_with_parent

    die_with_parent()
    os.environ.update(environment)
    served = getattr(importlib.import_module(place[0]), place[1])(*arguments)
    while True:
        try:
            method, given = connection.recv()
        except (EOFError, OSError):
            break
        try:
            answer = getattr(served, method)(*given)
        except Exception as error:
            traceback.print_exc()
            answer = error if isinstance(error, ClusterError) else ClusterError(f"{place[1]}: {error!r}")
        connection.send(answer)
    served.stop()
    os._exit(0)  # threads that wait for steps must not keep it
