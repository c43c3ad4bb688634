"""How the machines of a cluster look on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cluster.api.nodes import NodeDevice, NodeStatus
from cluster.terminal.table import format_bytes, format_table

HEADER = ("NODE", "ADDRESS", "DEVICES", "FREE", "STAGES", "STATE")
WIDE_HEADER = ("CORES", "SPEED", "LINKS", "VERSION")


def print_nodes(nodes: Sequence[NodeStatus], wide: bool) -> None:
    """A row per node to stdout."""
    header = [*HEADER, *(WIDE_HEADER if wide else ())]
    for line in format_table([header, *(_row(node, wide) for node in nodes)]):
        print(line)


def node_record(node: NodeStatus) -> dict[str, Any]:
    """For `json.dumps`. Scripts read its keys."""
    values = asdict(node)
    del values["health"]
    return values | {"state": str(node.health)}


def _row(node: NodeStatus, wide: bool) -> list[str]:
    row = [
        f"{node.name} (head)" if node.is_head else node.name,
        node.host,
        _joined(device.name for device in node.devices),
        _joined(format_bytes(device.memory_free_bytes) for device in node.devices),
        _joined(str(stage) for stage in node.stages),
        str(node.health),
    ]
    if wide:
        links = (f"{link.node} {link.round_trip_ms:.1f} ms {link.bytes_per_s / 1e6:.0f} MB/s" for link in node.links)
        cores = str(node.num_cores) if node.num_cores else "-"
        row += [cores, _joined(map(_speed, node.devices)), _joined(links), node.version or "-"]
    return row


def _speed(device: NodeDevice) -> str:
    return "-" if device.bytes_per_s is None else f"{device.bytes_per_s / 1e9:.1f} GB/s"


def _joined(texts: Any) -> str:
    return ", ".join(texts) or "-"
