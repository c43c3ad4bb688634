"""The machines of a cluster as people and scripts see them."""

from __future__ import annotations

import json

import pytest

from cluster.api.nodes import NodeDevice, NodeLink, NodeStatus
from cluster.api.status import Condition, Health
from cluster.terminal.nodes_table import node_record, print_nodes

NODES = [
    NodeStatus(
        name="one",
        host="10.77.0.1",
        health=Health(),
        version="0.1.0",
        num_cores=8,
        devices=(
            NodeDevice("CUDA0", "gpu", 24 << 30, 20 << 30, 9e11),
            NodeDevice("CPU", "cpu", 64 << 30, 50 << 30),
        ),
        links=(NodeLink("two", 0.42, 1.1e8),),
        stages=(0, 1),
        is_head=True,
    ),
    NodeStatus("t\x1b[2Jwo", "10.77.0.2", Health(Condition.LOST, "no answer within 5 s")),
]


def test_a_row_for_each_node_in_which_nothing_can_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    print_nodes(NODES, wide=True)
    header, one, two = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "NODE",
        "ADDRESS",
        "DEVICES",
        "FREE",
        "STAGES",
        "STATE",
        "CORES",
        "SPEED",
        "LINKS",
        "VERSION",
    ]
    for shown in ("one (head)", "CUDA0, CPU", "20.0 GiB, 50.0 GiB", "0, 1", "900.0 GB/s, -", "two 0.4 ms 110 MB/s"):
        assert shown in one
    assert "lost: no answer within 5 s" in two
    assert "\x1b" not in two


def test_the_short_table_has_what_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_nodes(NODES, wide=False)
    assert all(len(line) < 100 for line in capsys.readouterr().out.splitlines())


def test_json_has_all_of_it() -> None:
    record = json.loads(json.dumps(node_record(NODES[0])))
    assert record["state"] == "ready"
    assert record["links"] == [{"node": "two", "round_trip_ms": 0.42, "bytes_per_s": 1.1e8}]
    assert record["devices"][1]["bytes_per_s"] is None
