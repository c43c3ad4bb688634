"""The link between two processes: is it fast enough not to matter."""

from __future__ import annotations

from cluster.api.errors import ClusterError
from cluster.doctor.check import Check, fail, ok, warn
from cluster.planning.measure.link import LinkFigures, measure_loopback

SLOW_ROUND_TRIP_S = 5e-3
SLOW_BYTES_PER_S = 100e6


def check_loopback() -> list[Check]:
    """Measured now, over the wire that stages use."""
    try:
        return judge_link("loopback", measure_loopback())
    except ClusterError as error:
        return [fail("link loopback", str(error), "allow connections to 127.0.0.1 (firewall, container settings)")]


def judge_link(name: str, figures: LinkFigures) -> list[Check]:
    """A line for the round trip and one for the bandwidth."""
    trip, rate = f"{1e3 * figures.round_trip_s:.2f} ms round trip", f"{figures.bytes_per_s / 1e6:.0f} MB/s"
    slow = "see what else the machine does: every token waits for it"
    narrow = "prompts will be slow: see what else uses the network"
    return [
        warn(f"link {name}", trip, slow) if figures.round_trip_s > SLOW_ROUND_TRIP_S else ok(f"link {name}", trip),
        warn(f"link {name}", rate, narrow) if figures.bytes_per_s < SLOW_BYTES_PER_S else ok(f"link {name}", rate),
    ]
