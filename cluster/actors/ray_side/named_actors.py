"""The actors of one cluster, by name: which live, where, and how they are ended."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import ray
from ray._private.state import state as ray_state
from ray.exceptions import RayActorError

from cluster.actors.ray_side.calls import has_answered
from cluster.api.errors import UnreachableError

# A living actor answers within it; one still busy with an `up` that was interrupted is replaced.
ANSWER_TIMEOUT_S = 15.0
POLL_S = 0.02


class NamedActors:
    """Those of one namespace of Ray."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    @property
    def namespace(self) -> str:
        return self._namespace

    def start(self, actor: type, name: str, num_cpus: int, strategy: Any, *told: Any, restarts: bool = False) -> Any:
        """A new one, which outlives this driver. `restarts`: Ray starts it again whenever its process has died."""
        return (
            ray.remote(actor)
            .options(
                name=name,
                namespace=self._namespace,
                lifetime="detached",
                num_cpus=num_cpus,
                max_restarts=-1 if restarts else 0,
                scheduling_strategy=strategy,
            )
            .remote(*told)
        )

    def names(self) -> list[str]:
        """Of all that Ray believes to live."""
        actors = ray.util.list_named_actors(all_namespaces=True)
        return [actor["name"] for actor in actors if actor["namespace"] == self._namespace]

    def living(
        self, names: Sequence[str], lost_nodes: Collection[str] = (), timeout_s: float = ANSWER_TIMEOUT_S
    ) -> dict[str, Any]:
        """The actors among `names` that answer. One that does not is ended: a new one needs its name.

        `lost_nodes`: Ray's ids of nodes where nothing answers, so that it need not be waited for.
        """
        asked = {}
        for name in names:
            with contextlib.suppress(ValueError):
                actor = ray.get_actor(name, namespace=self._namespace)
                if lost_nodes and _place(actor)[0] in lost_nodes:
                    self.kill(name)
                else:
                    asked[name] = actor, actor.pid.remote()
        if asked:
            ray.wait([reference for _, reference in asked.values()], num_returns=len(asked), timeout=timeout_s)
        living = {name: actor for name, (actor, reference) in asked.items() if has_answered(reference)}
        for name in asked.keys() - living.keys():
            self.kill(name)
        return living

    def pids(self) -> dict[str, frozenset[int]]:
        """By Ray's id of the node: the processes of those that Ray believes to live."""
        found = defaultdict(set)
        for name in self.names():
            with contextlib.suppress(ValueError):
                node, pid = _place(ray.get_actor(name, namespace=self._namespace))
                found[node].add(pid)
        return {node: frozenset(pids) for node, pids in found.items()}

    def kill(self, name: str) -> bool:
        """End the actor of that name and wait until Ray has forgotten it. False if there was none.

        On a node that does not answer, Ray forgets it just as fast, and ends it once the node is back.
        """
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        was_there = False
        while time.monotonic() < deadline:
            try:
                ray.kill(ray.get_actor(name, namespace=self._namespace))
            except (ValueError, RayActorError):
                return was_there
            was_there = True
            time.sleep(POLL_S)
        raise UnreachableError(f"Ray: it does not end the actor {name}; run cluster down, then up again")


def _place(actor: Any) -> tuple[str, int]:
    """Ray's id of the node that an actor is on, and its pid there; "" and 0 where it is on none yet."""
    table = ray_state.actor_table(actor._actor_id.hex())
    return str(table.get("Address", {}).get("NodeID", "")), int(table.get("Pid", 0))
