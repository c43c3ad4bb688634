"""What can be said of a Ray of somebody else before anything is started in it."""

from __future__ import annotations

import socket

import pytest

from cluster.actors.ground.attached import AttachedRay
from cluster.actors.ground.foreign import Asked
from cluster.api.errors import UsageError
from cluster.config import ClusterConfig


class Silent:
    """A progress that nobody sees."""

    def note(self, text: str) -> None: ...

    def bars(self, states: object) -> None: ...


def test_on_loopback_it_has_no_other_machines_and_serves_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        asked = Asked(f"127.0.0.1:{listener.getsockname()[1]}", "--address")
        assert AttachedRay.at(asked, ClusterConfig("m.gguf", address=asked.address), Silent()).is_alone
        config = ClusterConfig("m.gguf", address=asked.address, advertise_address="10.0.0.1")
        with pytest.raises(UsageError, match=f"advertise-address: Ray at {asked.address} is on loopback"):
            AttachedRay.at(asked, config, Silent())
