"""The HTTP server's actor: a thin shell around `HttpService`. Left undecorated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import ray

from cluster.http.settings import HttpSettings
from cluster.node.dated_log import date_log
from cluster.node.heap import freeze_heap

if TYPE_CHECKING:
    from cluster.http.service import HttpService


class HttpServer:
    """Answers HTTP clients in a process of its own; of the cluster, it is a client like any."""

    def __init__(self, settings: HttpSettings, home: str) -> None:
        """`home`: the folder of the node's state, which says where the coordinator is, also after a repair."""
        date_log()
        # As `cluster up` had it: what a Ray of somebody else has in its environment is not ours.
        os.environ["XDG_STATE_HOME"] = str(Path(home).parent)
        self._settings = settings
        self._service: HttpService | None = None
        if ray.get_runtime_context().was_current_actor_reconstructed:
            self.start()  # nobody is there to ask for it: Ray has started it again

    def pid(self) -> int:
        return os.getpid()

    def fits(self, settings: HttpSettings) -> bool:
        """Whether it is the server that is wanted."""
        return settings == self._settings

    def start(self) -> str:
        """Listen. Returns the base address; again, if it listens already. UsageError for a port that is in use."""
        if self._service is None:
            from cluster.http.own_cluster import own_endpoint
            from cluster.http.service import HttpService

            service = HttpService(self._settings, own_endpoint)
            self._address = service.start()
            self._service = service
            freeze_heap()
        return self._address

    def stop(self, drain_s: float | None = None) -> None:
        """New requests are refused; answers that are open may end first, if they do so soon, or within `drain_s`."""
        if self._service is not None:
            from cluster.http.service import DRAIN_S

            self._service.stop(DRAIN_S if drain_s is None else drain_s)
