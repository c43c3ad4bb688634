"""What computes: devices, threads, kept graphs, how a graph is split over devices, and ggml's log."""

from __future__ import annotations

from ggml.backend.info import DeviceInfo, MemoryStats, info, infos, memory_stats
from ggml.backend.logs import set_logging
from ggml.backend.plan import Split, SplitPlan
from ggml.backend.rpc import add_rpc_server
from ggml.backend.scheduler import Scheduler, split
from ggml.core.devices import Device, devices
from ggml.graph.observers import GraphNode, Observation
from ggml.graph.observers import Observation as observe
from ggml.graph.threads import clear_graphs, get_num_threads, num_graphs, set_num_threads

__all__ = [
    "Device",
    "DeviceInfo",
    "GraphNode",
    "MemoryStats",
    "Observation",
    "Scheduler",
    "Split",
    "SplitPlan",
    "add_rpc_server",
    "clear_graphs",
    "devices",
    "get_num_threads",
    "info",
    "infos",
    "memory_stats",
    "num_graphs",
    "observe",
    "set_logging",
    "set_num_threads",
    "split",
]
