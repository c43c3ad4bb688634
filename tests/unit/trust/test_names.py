"""What may be a name, and what is said of the rest."""

from __future__ import annotations

import pytest

from cluster.api.errors import UsageError
from cluster.trust.names import check_cluster_id, check_host, check_node_name, new_cluster_id, node_name_of


@pytest.mark.parametrize("name", ["a", "node-2", "7", "n" * 63])
def test_labels_of_dns_in_lower_case_are_names_of_nodes(name: str) -> None:
    assert check_node_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a.b", "a_b", "ä", "localhost", "n" * 64, "a\n", "a b", "../x"])
def test_all_else_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(UsageError, match="--name node-2"):
        check_node_name(name)


def test_a_machine_is_called_by_the_first_label_of_its_host_name() -> None:
    assert node_name_of("GPU_1.example.com") == "gpu-1"


def test_ids_of_clusters_differ_and_are_checked() -> None:
    first, second = new_cluster_id(), new_cluster_id()
    assert first != second
    assert check_cluster_id(first) == first
    with pytest.raises(UsageError):
        check_cluster_id(first.upper())


@pytest.mark.parametrize(("host", "shown"), [("10.0.0.2", "10.0.0.2"), ("FD77::0001", "fd77::1"), ("127.0.0.2",) * 2])
def test_addresses_are_written_in_one_way(host: str, shown: str) -> None:
    assert check_host(host) == shown


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "fe80::1", "169.254.1.1", "224.0.0.1", "a.b", "1.2.3", "fd77::1%eth0", "::ffff:10.0.0.1"],
)
def test_what_other_machines_cannot_reach_is_no_address(host: str) -> None:
    with pytest.raises(UsageError, match="address"):
        check_host(host)
