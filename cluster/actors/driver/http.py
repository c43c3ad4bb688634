"""The HTTP server's actor, seen from a Ray driver."""

from __future__ import annotations

from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.actors.ray_side.calls import errors_of_ray, get
from cluster.actors.ray_side.named_actors import NamedActors
from cluster.actors.shells.http_server import HttpServer
from cluster.http.settings import HttpSettings

HTTP = "http"


class HttpLaunch:
    """On this node, where `cluster up` was typed: its address is told to people here."""

    def __init__(self, actors: NamedActors, home: Path) -> None:
        self._actors = actors
        self._home = home

    def prepare(self, settings: HttpSettings) -> None:
        """Have its process start, while the stages load. One with other settings is ended. UnreachableError."""
        with errors_of_ray():
            living = self._actors.living([HTTP]).get(HTTP)
            if living is not None and not get(living.fits.remote(settings)):
                get(living.stop.remote())  # its port is to be free for the next one
                self._actors.kill(HTTP)
                living = None
            if living is None:
                here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
                self._actors.start(HttpServer, HTTP, 0, here, settings, str(self._home), restarts=True)

    def open(self) -> str:
        """Let it listen. Returns its base address. UsageError for a port that is in use."""
        with errors_of_ray():
            address: str = get(ray.get_actor(HTTP, namespace=self._actors.namespace).start.remote())
        return address
