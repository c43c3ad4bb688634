"""The first stage's ear on the last one: which tokens it drew, so that the next step can begin at once."""

from __future__ import annotations

from collections.abc import Callable

from cluster.messages.stage import Hello
from cluster.messages.step import DrawnStep
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.codec.sampled import decode_drawn
from cluster.wire.stage.watch import Watch
from protos import stage_pb2


class DrawnWatch(Watch[stage_pb2.DrawnStep]):
    """Receives what the stage at `endpoint`, the last one, draws in the epoch of `hello`. See Watch."""

    def __init__(
        self, endpoint: Endpoint, hello: Hello, on_drawn: Callable[[DrawnStep], None], on_lost: Callable[[str], None]
    ) -> None:
        self._on_drawn = on_drawn
        super().__init__(endpoint, hello, "Drawn", stage_pb2.DrawnStep, self._take, on_lost)

    def _take(self, message: stage_pb2.DrawnStep) -> None:
        self._on_drawn(decode_drawn(message, self._hello.num_slots))
