"""The machines that a plan may use: what each of them has, and what was measured of them and between them.

`Nodes` is the seam: `ThisMachine` answers for a machine alone, actors answer for a cluster of several.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from cluster.api.errors import UsageError
from cluster.node.library import checked_probe
from cluster.planning.measure.link import LinkFigures, measure_loopback
from cluster.planning.measure.profile import DeviceProfile, measured_profile
from worker_native.probe import DeviceFacts, Probe

# A machine alone in plans, whatever its own name is: a plan file holds wherever the devices are the same.
THIS_NODE = "localhost"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One machine. Set by itself (`survey_this_node`)."""

    name: str  # no two nodes have the same
    host: str  # the address that its stages are reached at
    num_cores: int
    probe: Probe

    def device(self, name: str) -> DeviceFacts | None:
        """The device of that name; None if there is none."""
        return next((device for device in self.probe.devices if device.name == name), None)


class Nodes(Protocol):
    """Whom a plan may use. Implementations answer from any thread, and raise ClusterError for a node that is lost."""

    @property
    def facts(self) -> tuple[NodeFacts, ...]:
        """All of them, the head first: there the coordinator runs, and the plan is made."""
        ...

    def profile(
        self, node: str, device: str, kind: str, num_threads: int, num_sharers: int, *, measure: bool
    ) -> DeviceProfile | None:
        """The pace of one of `num_sharers` stages on the node's device, as `measured_profile` finds it there."""
        ...

    def link(self, node: str, other: str) -> LinkFigures:
        """What lies between two nodes, in whichever direction; measured once."""
        ...


class ThisMachine:
    """A machine alone; and what an agent answers with for its own node. Implements `Nodes`."""

    def __init__(self, name: str = THIS_NODE, host: str = LOOPBACK) -> None:
        self._name = name
        self._host = host

    @cached_property
    def facts(self) -> tuple[NodeFacts, ...]:
        return (survey_this_node(self._name, self._host),)

    def profile(
        self, node: str, device: str, kind: str, num_threads: int, num_sharers: int, *, measure: bool
    ) -> DeviceProfile | None:
        (here,) = self.facts
        found = here.device(device)
        if found is None:
            raise UsageError(f"devices: no {device!a} on {here.name}; there are {_names(here.probe)}")
        return measured_profile(here.probe, found, kind, num_threads, num_sharers, measure=measure)

    def link(self, node: str, other: str) -> LinkFigures:
        return measure_loopback()


class Surveyed:
    """Nodes as they were when the plan was begun: memory that is taken since changes no answer. Implements `Nodes`."""

    def __init__(self, nodes: Nodes) -> None:
        """Asks them now."""
        self.facts = nodes.facts
        self.profile = nodes.profile
        self.link = nodes.link


class Freed:
    """Nodes as they will be once the stages of a cluster have left them. Implements `Nodes`.

    For a plan that takes the place of one that is being served: what those stages hold is not free, and will be.
    """

    def __init__(self, nodes: Nodes, held_bytes: Mapping[str, int]) -> None:
        """`held_bytes`: what the stages take, by device: "two:CUDA0"."""
        self.facts = tuple(_freed(node, held_bytes) for node in nodes.facts)
        self.profile = nodes.profile
        self.link = nodes.link


class Taken:
    """Nodes as they are once something beside the stages has its memory on a device. Implements `Nodes`."""

    def __init__(self, nodes: Nodes, node: str, device: str, num_bytes: int) -> None:
        self.facts = tuple(_taken(one, device, num_bytes) if one.name == node else one for one in nodes.facts)
        self.profile = nodes.profile
        self.link = nodes.link


def _taken(node: NodeFacts, name: str, num_bytes: int) -> NodeFacts:
    def taken(device: DeviceFacts) -> DeviceFacts:
        left = max(0, device.memory_free_bytes - num_bytes)
        return replace(device, memory_free_bytes=left) if device.name == name else device

    return replace(node, probe=replace(node.probe, devices=tuple(map(taken, node.probe.devices))))


def _freed(node: NodeFacts, held_bytes: Mapping[str, int]) -> NodeFacts:
    def freed(device: DeviceFacts) -> DeviceFacts:
        free = device.memory_free_bytes + held_bytes.get(f"{node.name}:{device.name}", 0)
        return replace(device, memory_free_bytes=min(free, device.memory_total_bytes))

    return replace(node, probe=replace(node.probe, devices=tuple(map(freed, node.probe.devices))))


def survey_this_node(name: str = THIS_NODE, host: str = LOOPBACK) -> NodeFacts:
    """Look at this machine. ClusterError if its native library cannot be used."""
    return NodeFacts(name, host, len(os.sched_getaffinity(0)), checked_probe())


def _names(found: Probe) -> str:
    return ", ".join(device.name for device in found.devices)
