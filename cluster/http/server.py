"""What the routes of one server share."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.http.answering import Answering
from cluster.http.link import Link
from cluster.http.metrics import Metrics
from cluster.http.settings import HttpSettings
from cluster.http.watching.watch import Watch


@dataclass(frozen=True, slots=True)
class Server:
    """For one event loop."""

    settings: HttpSettings
    link: Link
    answering: Answering
    metrics: Metrics
    watch: Watch
