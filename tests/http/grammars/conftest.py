"""A cluster for grammars: two stages, eight slots, so that several microbatches are under way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.client.sync import Client
from tests.fakes.wire_backends import SECRET
from tests.http.serving import cluster_of


@pytest.fixture(scope="package")
def client(slice_cache: None) -> Iterator[Client]:
    with (
        cluster_of(num_slots=8, context_length=1024) as (_, _, endpoint),
        Client(endpoint.address, SECRET.for_clients.text) as made,
    ):
        yield made
