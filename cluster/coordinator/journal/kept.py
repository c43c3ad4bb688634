"""Kept: what the journal still knows of a request after the coordinator that served it died."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.results import TokenEvent
from cluster.coordinator.journal.asked import Asked


@dataclass(frozen=True, slots=True)
class Kept:
    """An open request as the journal has it: what was asked, and every event that was told or may have been told."""

    asked: Asked
    events: tuple[TokenEvent, ...]  # in their order; none of them ends the request
    num_tries: int = 0  # coordinators that began to compute it on, without an event since
