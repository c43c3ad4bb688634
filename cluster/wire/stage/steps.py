"""The steps of one stream, from its messages: as an iterator, or for a thread that computes and takes them itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from cluster.messages.program import AnyStep
from cluster.messages.stage import Hello
from cluster.messages.step import Float32Array
from cluster.wire.codec.step.assembly import StepAssembly
from cluster.wire.codec.step.header import StepLimits
from cluster.wire.limits import parse
from cluster.wire.local.frames import Frames
from cluster.wire.local.source import Source
from cluster.wire.stage.epochs import StepOrder
from protos import stage_pb2

Step = tuple[AnyStep, Float32Array | None, int]  # hidden rows, and when it was whole (time.monotonic_ns)


class StepReader:
    """Takes the messages of a stream, one after the other."""

    def __init__(self, hello: Hello) -> None:
        self._assembly = StepAssembly(StepLimits.of(hello))
        self._order = StepOrder(hello.epoch)

    def take(self, data: bytes) -> Step | None:
        """The step that it completes, if it does, and if that is a new one. UsageError ends the stream."""
        step = self._assembly.add(parse(stage_pb2.StepMessage, data))
        if step is None or not self._order.is_next(step[0].id):
            return None
        return (*step, time.monotonic_ns())


class StepSource(Source[Step]):
    """Steps that come through a Unix socket, for the thread that computes them."""

    def __init__(self, frames: Frames, hello: Hello, refuse: Callable[[Exception], None]) -> None:
        """`refuse` is told, on the thread that reads, what is wrong with a step."""
        super().__init__(frames, StepReader(hello).take, refuse)
