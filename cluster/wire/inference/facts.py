"""The methods that tell what the cluster is and does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.message import Message

from cluster.wire import limits
from cluster.wire.codec.adapters import decode_adapters_request, encode_adapters
from cluster.wire.codec.facts import encode_slots, encode_status
from cluster.wire.codec.model import encode_model, encode_vocabulary
from cluster.wire.codec.timing import encode_timing
from cluster.wire.inference.aborting import Context, aborting
from cluster.wire.inference.backend import InferenceBackend
from cluster.wire.limits import parse
from cluster.wire.transport.methods import Methods
from protos import inference_pb2

# Calls a method of the backend on a thread, in the turn of the one that asks.
Call = Callable[..., Awaitable[Any]]


class FactStreams:
    """Lives on the event loop of the streams, which call the backend for it."""

    def __init__(self, backend: InferenceBackend, call: Call) -> None:
        self._backend = backend
        self._call = call

    def methods(self) -> Methods:
        """For `service.register`."""
        return {
            "Status": aborting(self._status),
            "Slots": aborting(self._slots),
            "Intervals": aborting(self._intervals),
            "Model": aborting(self._model),
            "Adapters": aborting(self._adapters),
            "Vocabulary": aborting(self._vocabulary),
        }

    async def _status(self, data: bytes, context: Context) -> Message:
        parse(inference_pb2.StatusRequest, data)
        return encode_status(await self._call(context, self._backend.status))

    async def _slots(self, data: bytes, context: Context) -> Message:
        parse(inference_pb2.SlotsRequest, data)
        return encode_slots(await self._call(context, self._backend.slots))

    async def _intervals(self, data: bytes, context: Context) -> Message:
        parse(inference_pb2.IntervalsRequest, data)
        intervals = (await self._call(context, self._backend.intervals))[-limits.MAX_INTERVALS :]
        return inference_pb2.IntervalsReply(intervals=[encode_timing(timing) for timing in intervals])

    async def _model(self, data: bytes, context: Context) -> None:
        parse(inference_pb2.ModelRequest, data)
        for part in encode_model(await self._call(context, self._backend.model)):
            await context.write(part)

    async def _adapters(self, data: bytes, context: Context) -> Message:
        scales = decode_adapters_request(parse(inference_pb2.AdaptersRequest, data))
        return encode_adapters(await self._call(context, self._backend.adapters, scales))

    async def _vocabulary(self, data: bytes, context: Context) -> None:
        parse(inference_pb2.VocabularyRequest, data)
        for part in encode_vocabulary(await self._call(context, self._backend.vocabulary)):
            await context.write(part)
