"""The ports of a node in a cluster of several machines: one range, whose first number a user chooses."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_FIRST = 8469
NUM_OWN = 22  # stages, weights and measurements of one node
NUM_WORKERS = 100  # Ray gives one to each process that it starts
NUM_PORTS = 9 + NUM_OWN + NUM_WORKERS


@dataclass(frozen=True, slots=True)
class PortPlan:
    """All ports of a node follow `first`; every node of a cluster has the same plan."""

    first: int = DEFAULT_FIRST

    @property
    def join(self) -> int:
        """On the head: TLS for those who are no members yet, and bring a join string."""
        return self.first

    @property
    def api(self) -> int:
        """Where the coordinator answers clients, unless another port was asked for."""
        return self.first + 1

    @property
    def gcs(self) -> int:
        """Ray's head."""
        return self.first + 2

    @property
    def node_manager(self) -> int:
        """Ray's raylet."""
        return self.first + 3

    @property
    def object_manager(self) -> int:
        """Ray's object store."""
        return self.first + 4

    @property
    def runtime_env(self) -> int:
        """Ray's agent for runtime environments."""
        return self.first + 5

    @property
    def ray_client(self) -> int:
        """Ray's client server, which Ray always starts on a head; nothing of ours uses it."""
        return self.first + 6

    @property
    def members(self) -> int:
        """On the head: mutual TLS for nodes that are members."""
        return self.first + 7

    @property
    def node(self) -> int:
        """On every node that joined: mutual TLS for the head, which also calls back here before it admits a node."""
        return self.first + 8

    @property
    def own(self) -> range:
        """Stages, weights and measurements: the first that is free."""
        return range(self.first + 9, self.first + 9 + NUM_OWN)

    @property
    def workers(self) -> range:
        """Ray's worker processes."""
        return range(self.own.stop, self.own.stop + NUM_WORKERS)
