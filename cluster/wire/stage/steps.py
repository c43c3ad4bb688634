"""The steps of one stream, from its messages: as an iterator, or for a thread that computes and takes them itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cluster.messages.program import AnyStep
from cluster.messages.stage import Hello
from cluster.messages.step import Float32Array
from cluster.wire.codec.step.assembly import StepAssembly
from cluster.wire.codec.step.header import StepLimits
from cluster.wire.limits import parse
from cluster.wire.local.frames import Frames
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


class StepSource:
    """Steps that come through a Unix socket, for the thread that computes them: no other one wakes in between.

    `fileno` and `read` are for that thread; `end` for any, and again.
    """

    def __init__(self, frames: Frames, hello: Hello, refuse: Callable[[Exception], None]) -> None:
        """`refuse` is told, on the thread that reads, what is wrong with a step."""
        self._frames = frames
        self._reader = StepReader(hello)
        self._refuse = refuse
        self.error: Exception | None = None  # why it ended, if a step was wrong
        self.over = threading.Event()

    def fileno(self) -> int:
        return self._frames.fileno()

    def read(self) -> list[Step]:
        """Those that have come. Never waits; nothing more will come once it is `over`."""
        steps: list[Step] = []
        try:
            for data in self._frames.take():
                step = self._reader.take(data)
                if step is not None:
                    steps.append(step)
            if self._frames.is_over:
                self.end()
        except Exception as error:
            self.error = error
            self._refuse(error)
            self.end()
        return steps

    def end(self) -> None:
        self._frames.close()
        self.over.set()
