"""Nodes of a Ray have names that plans can use."""

from __future__ import annotations

from typing import Any

from cluster.actors.ray_side.nodes import HEAD_RESOURCE, living_nodes


def node(number: int, name: str, hostname: str = "", *, label: str = "", is_head: bool = False) -> dict[str, Any]:
    return {
        "NodeID": f"{number:056x}"[::-1],
        "Alive": True,
        "NodeName": name,
        "NodeManagerHostname": hostname,
        "NodeManagerAddress": f"10.0.0.{number}",
        "Labels": {"ggml-cluster/node": label} if label else {},
        "Resources": {HEAD_RESOURCE: 1.0} if is_head else {"CPU": 2.0},
    }


def names(*nodes: dict[str, Any]) -> list[str]:
    return [found.name for found in living_nodes(nodes)]


def test_our_label_is_the_name_and_the_head_comes_first() -> None:
    assert names(node(1, "x", label="one"), node(2, "y", label="zwei", is_head=True)) == ["zwei", "one"]


def test_of_a_foreign_node_rays_name_is_taken_else_that_of_the_host() -> None:
    assert names(node(1, "gpu-box"), node(2, "10.0.0.2", "Node_7.example.org")) == ["gpu-box", "node-7"]


def test_a_name_that_two_foreign_nodes_have_names_neither() -> None:
    assert names(node(1, "10.0.0.1", "same"), node(2, "10.0.0.2", "same")) == ["node-10000000", "node-20000000"]


def test_the_same_machine_before_and_after_it_came_back_is_there_twice_until_ray_knows() -> None:
    dead = node(3, "x", label="three") | {"Alive": False}
    found = living_nodes([node(1, "x", label="two"), node(2, "x", label="two"), dead])
    assert [one.name for one in found] == ["two", "two"]
    assert found[0].id != found[1].id
