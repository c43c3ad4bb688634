"""Which rank sits where, and what ranks of several machines know each other by."""

from __future__ import annotations

import pytest

from cluster.actors.ray_side.nodes import RayNode
from cluster.actors.training.passes import HeldPass, Passes, name_of
from cluster.actors.training.seats import seats_here, seats_over
from cluster.api.errors import UsageError
from cluster.trust.node_key import new_key, signing_request

NODES = tuple(RayNode(name, name * 4, f"10.0.0.{place}", place == 0) for place, name in enumerate(("a", "b", "c")))


@pytest.mark.parametrize("num_workers", [3, 4, 5, 8])
def test_ranks_follow_each_other_on_a_node_and_nodes_have_almost_as_many(num_workers: int) -> None:
    seats = seats_over(NODES, num_workers)
    assert [seat.rank for seat in seats] == list(range(num_workers))
    of_nodes = [[seat for seat in seats if seat.node is node] for node in NODES]
    assert max(map(len, of_nodes)) - min(map(len, of_nodes)) <= 1
    for own in of_nodes:
        assert [seat.local_rank for seat in own] == list(range(len(own)))
        assert own[-1].rank - own[0].rank == len(own) - 1
        assert {seat.local_world_size for seat in own} == {len(own)}


def test_a_node_without_a_worker_is_refused() -> None:
    with pytest.raises(UsageError, match="--workers: 2 for 3 nodes"):
        seats_over(NODES, 2)
    assert [seat.local_rank for seat in seats_here(3)] == [0, 1, 2]


def test_over_machines_each_rank_has_a_certificate_that_no_other_can_show() -> None:
    passes = Passes(None, is_secure=True)
    keys = [new_key() for _ in range(2)]
    told = [passes.of(rank, "10.0.0.1", signing_request(key, name_of(rank))) for rank, key in enumerate(keys)]
    held = [HeldPass(one, rank, key) for rank, (one, key) in enumerate(zip(told, keys, strict=True))]
    assert held[0].listener.secret == held[1].listener.secret
    assert held[0].listener.identity is not None and held[0].listener.host == "10.0.0.1"
    endpoint = held[0].endpoint(1, "10.0.0.1:5")
    assert endpoint.tls is not None and endpoint.tls.server_name == held[1].listener.identity().server_name  # type: ignore[misc]
    assert endpoint.tls.cert_pem != told[1].cert_pem
    assert told[0].secret_text not in repr(told[0])
