"""The far end of `link`: a stage's server that computes nothing and confirms each step at once."""

from __future__ import annotations

import os
import platform
import sys

from cluster.api.status import Health, StageFacts
from cluster.messages.stage import PROTOCOL_VERSION, Hello, Wiring
from cluster.messages.step import Float32Array, Microbatch, StepResult
from cluster.node.child import answer, die_with_parent
from cluster.node.secret import Secret
from cluster.wire.access.endpoint import Listener
from cluster.wire.stage.server import StageServer

EPOCH = 1
HIDDEN_WIDTH = 4096
CONTEXT_LENGTH = 1024


def hello() -> Hello:
    """What both ends say they are: the second of two stages."""
    return Hello(
        protocol_version=PROTOCOL_VERSION,
        model_hash="0" * 64,
        build="link",
        epoch=EPOCH,
        stage=1,
        num_stages=2,
        first=1,
        end=2,
        hidden_width=HIDDEN_WIDTH,
        wire_dtype="f32",
        num_slots=1,
        context_length=CONTEXT_LENGTH,
    )


class Echo:
    """Implements `wire.stage.server.StageBackend`."""

    def __init__(self) -> None:
        self.secret = Secret.new()
        self.server = StageServer(hello(), self, Listener(self.secret))

    def accept(self, hello: Hello) -> None:
        """Nothing to forget."""

    def submit(self, batch: Microbatch, hidden: Float32Array | None, received_ns: int) -> None:
        self.server.publish(StepResult(batch.id, ()))

    def describe(self) -> StageFacts:
        return StageFacts(1, platform.node(), "none", 1, 2, Health(), os.getpid(), 0, 0, 0, 0)

    def rewire(self, wiring: Wiring) -> None:
        """There is no other stage."""


def main() -> int:
    die_with_parent()
    echo = Echo()
    answer({"address": echo.server.start(), "secret": echo.secret.text})
    sys.stdin.read()
    echo.server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
