"""The machines of a cluster, asked through an agent on each of them. Implements planning's `Nodes`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.actors.nodes.agent import NodeAgent
from cluster.actors.ray_side.calls import errors_of_ray, get, one_line
from cluster.actors.ray_side.nodes import RayNode, living_nodes
from cluster.api.errors import ClusterError, UnreachableError
from cluster.planning.measure.link import LinkFigures
from cluster.planning.measure.profile import DeviceProfile
from cluster.planning.nodes import NodeFacts

ANSWER_S = 8.0  # an agent that lives answers within it, on a machine that computes, too
START_S = 40.0  # until a new agent answers: it loads this package, on a machine that may be busy
SURVEY_S = 60.0
PROFILE_S = 300.0
LINK_S = 60.0
MAX_CALLS = 8  # of one agent at a time
PREFIX = "agent-"


class Agents:
    """Asks all nodes at once. What is known of them is that of the last `look`, which the first question does."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._nodes: tuple[RayNode, ...] | None = None
        self._agents: dict[str, Any] = {}  # by the name of the node
        self._facts: tuple[NodeFacts, ...] | None = None
        self.silent: dict[str, str] = {}  # nodes that Ray believes to live, and why they are of no use

    def look(self, only: str = "", limit_s: float = START_S) -> tuple[RayNode, ...]:
        """The nodes whose agents answer now, the head first; agents are started where there are none.

        `only`: the one name to look for; "" looks for all nodes. `limit_s`: the longest that agents are waited for.
        """
        with errors_of_ray():
            listed = [node for node in living_nodes(ray.nodes()) if only in ("", node.name)]
            asked = {node: self._agent(node) for node in listed}
            is_new = {node: not has for node, (_, has) in asked.items()}
            pids = {node: agent.pid.remote() for node, (agent, _) in asked.items()}
            silent = _wait([pids[node] for node in listed if not is_new[node]], min(limit_s, ANSWER_S))
            silent |= _wait([pids[node] for node in listed if is_new[node]], limit_s)
        self._nodes = tuple(node for node in listed if pids[node] not in silent)
        self._agents = {node.name: asked[node][0] for node in self._nodes}
        self.silent = {
            node.name: silent[pids[node]] for node in listed if pids[node] in silent and node.name not in self._agents
        }
        self._facts = None
        return self._nodes

    @property
    def nodes(self) -> tuple[RayNode, ...]:
        """Those of the last look, the head first."""
        return self.look() if self._nodes is None else self._nodes

    def node(self, name: str) -> RayNode:
        """The node of that name. UnreachableError where it does not answer."""
        for node in self.nodes:
            if node.name == name:
                return node
        why = self.silent.get(name, "Ray does not know it any more")
        raise UnreachableError(f"node {name}: {why}; see: cluster nodes")

    @property
    def facts(self) -> tuple[NodeFacts, ...]:
        """What the nodes have. One that does not say it is left out, and is in `silent` from then on.

        UnreachableError where none does.
        """
        if self._facts is None:
            asked = {node.name: self._agents[node.name].facts.remote() for node in self.nodes}
            found = []
            for name, reference in asked.items():
                try:
                    found.append(self._get(name, reference, SURVEY_S))
                except ClusterError as error:
                    self.silent[name] = str(error)
            if not found:
                why = "; ".join(f"{name}: {reason}" for name, reason in self.silent.items()) or "there are none"
                raise UnreachableError(f"nodes: none answers ({why}); run cluster down, then up again")
            self._facts = tuple(found)
        return self._facts

    def profile(
        self, node: str, device: str, kind: str, num_threads: int, num_sharers: int, *, measure: bool
    ) -> DeviceProfile | None:
        reference = self._of(node).profile.remote(device, kind, num_threads, num_sharers, measure=measure)
        found: DeviceProfile | None = self._get(node, reference, PROFILE_S)
        return found

    def link(self, node: str, other: str) -> LinkFigures:
        there, here = self._of(other), self._of(node)
        number, address = self._get(other, there.start_echo.remote(), ANSWER_S)
        try:
            figures: LinkFigures = self._get(node, here.measure_link.remote(address, other), LINK_S)
            return figures
        finally:
            there.end_echo.remote(number)

    def homes(self) -> Mapping[str, str]:
        """The folder of each node in which its actors find who they are."""
        return self.ask_all("home", ANSWER_S)

    def ask_all(self, method: str, timeout_s: float) -> dict[str, Any]:
        """What each node answers, by name. UnreachableError for one that does not."""
        return self._gather({name: getattr(agent, method).remote() for name, agent in self._asked()}, timeout_s)

    def tell(self, method: str, told: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The same of those nodes that something is told."""
        asked = {name: getattr(self._of(name), method).remote(what) for name, what in told.items()}
        return self._gather(asked, timeout_s)

    def ask(self, node: str, method: str, *arguments: Any) -> Any:
        """What `NodeAgent`'s method answers on that node. UnreachableError, or what it raised there."""
        return self._get(node, getattr(self._of(node), method).remote(*arguments), ANSWER_S)

    def end_orphans(self, known: Mapping[str, frozenset[int]]) -> None:
        """End what Ray has forgotten. `known`: by Ray's id of the node, the pids that it has not."""
        asked = [
            self._agents[node.name].end_orphans.remote(known.get(node.id, frozenset[int]())) for node in self.nodes
        ]
        _wait(asked, ANSWER_S)

    def _asked(self) -> list[tuple[str, Any]]:
        return [(node.name, self._agents[node.name]) for node in self.nodes]

    def _gather(self, asked: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        return {name: self._get(name, reference, timeout_s) for name, reference in asked.items()}

    def _of(self, node: str) -> Any:
        self.node(node)
        return self._agents[node]

    def _get(self, node: str, reference: Any, timeout_s: float) -> Any:
        try:
            with errors_of_ray():
                return get(reference, timeout_s, lambda: "its agent died")
        except UnreachableError as error:
            raise UnreachableError(f"node {node}: {error}") from error

    def _agent(self, node: RayNode) -> tuple[Any, bool]:
        """The agent of a node, and whether it was there already."""
        name = f"{PREFIX}{node.name}-{node.id[:8]}"
        try:
            return ray.get_actor(name, namespace=self._namespace), True
        except ValueError:
            options = {
                "name": name,
                "namespace": self._namespace,
                "lifetime": "detached",
                "get_if_exists": True,
                "num_cpus": 0,
                "max_restarts": 0,
                "max_concurrency": MAX_CALLS,
                "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
            }
            return ray.remote(NodeAgent).options(**options).remote(node.name, node.host), False


def _wait(references: Iterable[Any], timeout_s: float) -> dict[Any, str]:
    """Those of `references` that bring no answer in time, and why."""
    waited = list(references)
    if not waited:
        return {}
    ready, late = ray.wait(waited, num_returns=len(waited), timeout=timeout_s)
    failed = dict.fromkeys(late, f"its agent does not answer within {timeout_s:.0f} s")
    for reference in ready:
        try:
            ray.get(reference)
        except RayActorError:
            failed[reference] = "nothing answers there"
        except RayError as error:  # a node so new that not all of Ray knows it
            failed[reference] = f"Ray starts nothing there: {one_line(error)}"
    return failed
