"""The far end of `link`: a stage's server that computes nothing and confirms each step at once.

An `Echo` is measured by one caller, once: a stage has one upstream in an epoch.
"""

from __future__ import annotations

import os
import platform
import sys
from types import TracebackType

from cluster.api.status import Health, StageFacts
from cluster.messages.program import AnyStep
from cluster.messages.stage import PROTOCOL_VERSION, Hello, Holdings, Wiring
from cluster.messages.step import Float32Array, StepResult
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
    """Listens where `listener` says. Implements `wire.stage.server.StageBackend`. Stop it."""

    def __init__(self, listener: Listener) -> None:
        self._server = StageServer(hello(), self, listener)

    def start(self) -> str:
        """The address that it listens on. UsageError if it cannot."""
        return self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def __enter__(self) -> Echo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def accept(self, hello: Hello) -> None:
        """Nothing to forget."""

    def submit(self, step: AnyStep, hidden: Float32Array | None, received_ns: int) -> None:
        self._server.publish(StepResult(step.id, ()))

    def describe(self) -> StageFacts:
        return StageFacts(1, platform.node(), "none", 1, 2, Health(), os.getpid(), 0, 0, 0, 0)

    def holdings(self, epoch: int) -> Holdings:
        return Holdings(0)

    def rewire(self, wiring: Wiring) -> None:
        """There is no other stage."""

    def compile(self, grammar: str) -> None:
        raise AssertionError("a link has no grammars")


def main() -> int:
    """An echo on loopback, until its standard input ends."""
    die_with_parent()
    secret = Secret.new()
    with Echo(Listener(secret)) as echo:
        answer({"address": echo.start(), "secret": secret.text})
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
