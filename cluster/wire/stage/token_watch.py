"""The first stage hears from the last one which tokens it sampled, so that the next step can begin at once."""

from __future__ import annotations

from collections.abc import Callable

from cluster.messages.stage import Hello
from cluster.messages.step import SampledStep
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.codec.sampled import decode_sampled_step
from cluster.wire.limits import parse
from cluster.wire.local.source import Reading, Source
from cluster.wire.stage.watch import Watch
from protos import stage_pb2


class TokenWatch(Watch[stage_pb2.SampledStep]):
    """Receives what the stage at `endpoint`, the last one, samples in the epoch of `hello`. See Watch."""

    def __init__(
        self,
        endpoint: Endpoint,
        hello: Hello,
        on_sampled: Callable[[SampledStep], None],
        on_lost: Callable[[str], None],
        lend: Callable[[Source[SampledStep]], None] | None = None,
    ) -> None:
        """`lend` has what comes from this machine read, until it is over: `on_sampled` is told nothing of that."""
        self._on_sampled = on_sampled
        reading = None if lend is None else Reading(self._taken, lend)
        super().__init__(endpoint, hello, "Tokens", stage_pb2.SampledStep, self._take, on_lost, reading)

    def _take(self, message: stage_pb2.SampledStep) -> None:
        self._on_sampled(decode_sampled_step(message, self._hello.num_slots))

    def _taken(self, data: bytes) -> SampledStep:
        return decode_sampled_step(parse(stage_pb2.SampledStep, data), self._hello.num_slots)
