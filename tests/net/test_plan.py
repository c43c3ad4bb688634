"""A plan for a cluster of several hosts: it asks all of them, and measures what lies between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.net.conftest import made_hosts
from tests.net.together import Together

FLAGS = ("-c", "256", "-np", "8", "-t", "1")
DELAY_S = 0.01


def plan_of(cluster: Together, *arguments: str) -> dict[str, Any]:
    done = cluster.head.run("cluster", "plan", "--demo", *FLAGS, *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_host_has_its_stage_and_every_link_is_measured(three_hosts_up: Together) -> None:
    found = plan_of(three_hosts_up)
    names = {"one", "two", "three"}
    assert found["stages"][0]["node"] == "one", "the coordinator is there"
    assert {stage["node"] for stage in found["stages"]} == names
    assert {frozenset((link["node"], link["other"])) for link in found["links"]} == {
        frozenset(pair) for pair in (("one", "two"), ("one", "three"), ("two", "three"))
    }
    assert all(0 < link["round_trip_ms"] < 1000 and link["bytes_per_s"] > 1e6 for link in found["links"])
    assert found["forecast"]["one_request_tokens_per_s"] > 0


def test_what_is_far_away_is_told_with_what_it_costs(three_hosts_up: Together) -> None:
    head = three_hosts_up.head
    with head.delayed(DELAY_S):
        found = plan_of(three_hosts_up, "--devices", "one:CPU,two:CPU")
        done = head.run("cluster", "plan", "--demo", *FLAGS, "--devices", "one:CPU,two:CPU", "--explain")
    (link,) = found["links"]
    assert link["round_trip_ms"] > 2e3 * DELAY_S
    assert "leave out two: " in done.stdout, done.stdout
    assert "two adds " in done.stdout and "its link to one takes " in done.stdout
    assert "reason    order: one, two, and back to the coordinator on one" in done.stdout
    (without,) = (one for one in found["without"] if one["node"] == "two")
    assert without["more_messages_ms"] > 2e3 * DELAY_S - 1.0


def test_a_plan_file_of_the_cluster_names_its_hosts(three_hosts_up: Together) -> None:
    layers = plan_of(three_hosts_up, "--layers", "0-1,2-6,7", "--devices", "three:CPU,one:CPU,three:CPU")["stages"]
    assert [(stage["node"], stage["first"], stage["end"]) for stage in layers] == [
        ("three", 0, 2),
        ("one", 2, 7),
        ("three", 7, 8),
    ]
    refused = three_hosts_up.head.run("cluster", "plan", "--demo", "--devices", "four:CPU")
    assert refused.returncode == 2
    assert "devices: no 'four:CPU' on any node; there are one:CPU, three:CPU, two:CPU" in refused.stderr


@pytest.mark.slow
def test_a_plan_file_is_followed_on_the_hosts_that_it_names(tmp_path: Path) -> None:
    with made_hosts(tmp_path, 2) as hosts:
        first = Together.start(hosts, "--demo", *FLAGS, num_nodes=2)
        planned = first.head.run(
            "cluster", "plan", "--demo", *FLAGS, "--layers", "0-4,5-7", "--devices", "two:CPU,one:CPU", "-o", "json"
        )
        assert planned.returncode == 0, planned.stderr
        (first.head.disk / "p.json").write_text(planned.stdout)
        first.down()
        alone = first.head.run("cluster", "up", "--plan", "/tmp/p.json")
        assert alone.returncode == 2
        assert "stage 0 is on node 'two', only localhost is there" in alone.stderr
        again = Together.start(hosts, "--plan", "/tmp/p.json", num_nodes=2, again=True)
        placed = again.ask("answer = [[stage.node, stage.first, stage.end] for stage in client.status().stages]")
        assert placed == [["two", 0, 5], ["one", 5, 8]]
        again.down()
