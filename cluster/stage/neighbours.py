"""The streams that a stage opens itself: steps to the next stage, and sampled tokens from the last one to the first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cluster.messages.program import AnyStep
from cluster.messages.stage import StageAddress, Wiring
from cluster.messages.step import Float32Array, SampledStep
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.keys import Keys
from cluster.wire.local.source import Source
from cluster.wire.stage.link import StageLink
from cluster.wire.stage.token_watch import TokenWatch


class Neighbours:
    """The streams of one epoch at a time."""

    def __init__(
        self,
        keys: Keys,
        on_tokens: Callable[[SampledStep], None],
        on_lost: Callable[[int, int, str], None],
        lend_tokens: Callable[[Source[SampledStep]], None] | None = None,
    ) -> None:
        """`on_lost(stage, epoch, reason)`: a stream of that epoch broke, or a stage does not take a step.

        `lend_tokens`: as in TokenWatch.
        """
        self._keys = keys
        self._on_tokens = on_tokens
        self._on_lost = on_lost
        self._lend_tokens = lend_tokens
        self._link: StageLink | None = None
        self._tokens: TokenWatch | None = None

    def join(self, wiring: Wiring) -> None:
        """Leave the streams of the former epoch, and open those of this one. HandshakeError or UnreachableError."""
        self.leave()
        epoch = wiring.hello.epoch
        if wiring.downstream is not None:
            there = wiring.downstream
            lost = partial(self._on_lost, there.hello.stage, epoch)
            link = StageLink(self._endpoint(there), there.hello, lost)
            link.open()
            self._link = link
        if wiring.last is not None:
            there = wiring.last
            lost = partial(self._on_lost, there.hello.stage, epoch)
            tokens = TokenWatch(self._endpoint(there), there.hello, self._on_tokens, lost, self._lend_tokens)
            tokens.open()
            self._tokens = tokens

    def _endpoint(self, there: StageAddress) -> Endpoint:
        return self._keys.endpoint(there.address, there.node)

    def send(self, step: AnyStep, hidden: Float32Array | None) -> None:
        """One step to the next stage. UnreachableError or UsageError; nothing happens between two epochs."""
        link = self._link
        if link is not None:
            link.send(step, hidden)

    def leave(self) -> None:
        """Close all streams."""
        for stream in (self._link, self._tokens):
            if stream is not None:
                stream.close()
        self._link = self._tokens = None
