"""Links are measured over the real wire: loopback, and roads that are longer and narrower."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from cluster.api.errors import HandshakeError, UnauthenticatedError, UnreachableError
from cluster.node.secret import Secret
from cluster.planning.measure.echo import Echo
from cluster.planning.measure.link import LinkFigures, measure_link, measure_loopback
from cluster.wire.access.endpoint import Endpoint, Listener
from tests.fakes.slow_road import SlowRoad

SECRET = Secret.new()


def test_loopback_is_measured_with_a_process_at_the_other_end() -> None:
    found = measure_loopback()
    assert 1e-6 < found.round_trip_s < 1
    with pytest.raises(ValueError, match="positive"):
        LinkFigures(0.0, 1.0)


@pytest.mark.parametrize(("delay_s", "bytes_per_s"), [(0.01, 20e6), (0.1, 1e6)])
def test_a_long_and_narrow_road_is_seen_for_what_it_is(delay_s: float, bytes_per_s: float) -> None:
    with Echo(Listener(SECRET)) as echo, closing(SlowRoad(echo.start(), delay_s, bytes_per_s)) as road:
        begun_s = time.monotonic()
        found = measure_link(Endpoint(road.address, SECRET, may_meet=False))
        took_s = time.monotonic() - begun_s
    assert 2 * delay_s < found.round_trip_s < 2 * delay_s + 0.02
    assert found.bytes_per_s == pytest.approx(bytes_per_s, rel=0.3)
    assert took_s < 8, "however slow it is, nobody waits for long"


def test_an_echo_answers_who_knows_the_secret_and_once() -> None:
    with Echo(Listener(SECRET)) as echo:
        address = echo.start()
        with pytest.raises(UnauthenticatedError):
            measure_link(Endpoint(address, Secret.new()))
        measure_link(Endpoint(address, SECRET))
        with pytest.raises(HandshakeError):
            measure_link(Endpoint(address, SECRET))
    with pytest.raises(UnreachableError):
        measure_link(Endpoint(address, SECRET))
