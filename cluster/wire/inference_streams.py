"""The methods of the Inference service: each checks a request, asks the backend, sends what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message

from cluster.errors import CapacityError, ClusterError, UnreachableError
from cluster.messages import Float32Array, TokenEvent
from cluster.wire import limits
from cluster.wire.client_name import client_name
from cluster.wire.codec_answer import Output, encode_answers, encode_events
from cluster.wire.codec_event import encode_timing
from cluster.wire.codec_facts import encode_status
from cluster.wire.codec_inference import (
    check_text,
    check_token_ids,
    decode_complete,
    decode_generate,
    encode_logits,
)
from cluster.wire.fair_threads import FairThreads
from cluster.wire.inference_backend import Cancel, InferenceBackend
from cluster.wire.limits import parse
from cluster.wire.loop_mailbox import LoopMailbox, StreamInbox
from cluster.wire.request_group import RequestGroup, is_last
from cluster.wire.service import Methods
from cluster.wire.status import detail_of, metadata_of, status_of
from protos import inference_pb2

Context = grpc.aio.ServicerContext[Any, Any]
# The backend's methods run here: tokenising a long prompt must not hold up the other streams.
_NUM_THREADS = 4
# Logits that a client has not read yet; more than that, and it is cut off.
MAX_UNREAD_LOGITS_BYTES = 1 << 30


class InferenceStreams:
    """Lives on one event loop. Every open stream has an inbox that the engine fills from its thread."""

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend
        self._threads = FairThreads(_NUM_THREADS, "inference-backend")
        self._mailbox = LoopMailbox(asyncio.get_running_loop())
        self._inboxes: set[StreamInbox[Any]] = set()

    def methods(self) -> Methods:
        """For `service.register`."""
        return {
            "Generate": _aborting(self._generate),
            "Complete": _aborting(self._complete),
            "Logits": _aborting(self._logits),
            "Tokenize": _aborting(self._tokenize),
            "Detokenize": _aborting(self._detokenize),
            "Status": _aborting(self._status),
            "Intervals": _aborting(self._intervals),
        }

    def end_all(self) -> None:
        """Ends every open stream with UnreachableError."""
        for inbox in self._inboxes:
            inbox.put(UnreachableError('the cluster is going down; start it again with "cluster up"'))

    def close(self) -> None:
        """Ends the threads; all streams must have ended."""
        self._threads.shutdown()

    async def _generate(self, data: bytes, context: Context) -> None:
        prompt, params = decode_generate(parse(inference_pb2.GenerateRequest, data))
        inbox: StreamInbox[Output] = StreamInbox(self._mailbox)
        client = client_name(context)
        async with self._request(client, inbox, self._backend.generate, prompt, params, inbox.put, client):
            has_ended = False
            while not has_ended:
                events, error = _until_error(await inbox.take_all())
                for message in encode_events(events):
                    await context.write(message)
                has_ended = bool(events) and is_last(events[-1])
                if error is not None and not has_ended:
                    raise error

    async def _complete(self, data: bytes, context: Context) -> None:
        requests = decode_complete(parse(inference_pb2.CompleteRequest, data))
        group = RequestGroup(requests, self._mailbox, client_name(context))
        async with self._request(client_name(context), group.inbox, group.start, self._backend):
            while group.is_open:
                for message in encode_answers(await group.take()):
                    await context.write(message)

    async def _logits(self, data: bytes, context: Context) -> None:
        token_ids = check_token_ids("token_ids", parse(inference_pb2.LogitsRequest, data).token_ids)
        inbox: StreamInbox[Float32Array | ClusterError | None] = StreamInbox(self._mailbox)
        unread = _UnreadLogits(inbox)
        client = client_name(context)
        async with self._request(client, inbox, self._backend.logits, token_ids, unread.put, client):
            while True:
                for item in await inbox.take_all():
                    if isinstance(item, ClusterError):
                        raise item
                    if item is None:
                        return
                    for part in encode_logits(item):
                        await context.write(part)
                    unread.num_read_bytes += item.nbytes

    async def _tokenize(self, data: bytes, context: Context) -> Message:
        request = parse(inference_pb2.TokenizeRequest, data)
        text = check_text("text", request.text)
        ask = partial(self._backend.tokenize, text, request.add_special, request.parse_special)
        token_ids = await self._call(context, ask)
        return inference_pb2.TokenizeReply(token_ids=token_ids)

    async def _detokenize(self, data: bytes, context: Context) -> Message:
        token_ids = check_token_ids("token_ids", parse(inference_pb2.DetokenizeRequest, data).token_ids)
        return inference_pb2.DetokenizeReply(text=await self._call(context, self._backend.detokenize, token_ids))

    async def _status(self, data: bytes, context: Context) -> Message:
        parse(inference_pb2.StatusRequest, data)
        return encode_status(await self._call(context, self._backend.status))

    async def _intervals(self, data: bytes, context: Context) -> Message:
        parse(inference_pb2.IntervalsRequest, data)
        intervals = (await self._call(context, self._backend.intervals))[-limits.MAX_INTERVALS :]
        return inference_pb2.IntervalsReply(intervals=[encode_timing(timing) for timing in intervals])

    async def _call(self, context: Context, method: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.wrap_future(self._threads.submit(client_name(context), method, *args))

    @asynccontextmanager
    async def _request(
        self, client: str, inbox: StreamInbox[Any], start: Callable[..., Cancel], *args: Any
    ) -> AsyncIterator[None]:
        """Starts a request of the backend, and cancels it when the stream ends, however it ends."""
        self._inboxes.add(inbox)
        started = self._threads.submit(client, start, *args)
        try:
            await asyncio.wrap_future(started)
            yield
        finally:
            self._inboxes.discard(inbox)
            started.add_done_callback(_cancel_started)  # at once, unless the client left before the start


class _UnreadLogits:
    """Counts the bytes on their way to a client that may read slower than the stages compute."""

    def __init__(self, inbox: StreamInbox[Float32Array | ClusterError | None]) -> None:
        self._inbox = inbox
        self._num_put_bytes = 0  # written by the engine's thread only
        self.num_read_bytes = 0  # written by the loop's thread only

    def put(self, item: Float32Array | ClusterError | None) -> None:
        if item is None or isinstance(item, ClusterError):
            self._inbox.put(item)
            return
        self._num_put_bytes += item.nbytes
        num_unread_bytes = self._num_put_bytes - self.num_read_bytes
        if num_unread_bytes > MAX_UNREAD_LOGITS_BYTES:
            self._inbox.put(
                CapacityError(f"logits: {num_unread_bytes} bytes wait for the client; read faster or ask for less")
            )
        else:
            self._inbox.put(item)


def _cancel_started(started: Future[Cancel]) -> None:
    if not started.cancelled() and started.exception() is None:
        started.result()()


def _until_error(items: list[Output]) -> tuple[list[TokenEvent], ClusterError | None]:
    """The events up to the last one of the stream, and the error if one comes before that."""
    events: list[TokenEvent] = []
    for item in items:
        if isinstance(item, ClusterError):
            return events, item
        events.append(item)
        if is_last(item):
            break
    return events, None


def _aborting(
    method: Callable[[bytes, Context], Awaitable[Any]],
) -> Callable[[bytes, Context], Awaitable[Any]]:
    """A method whose ClusterError becomes the status, message and trailing metadata of the call."""

    async def aborting_method(data: bytes, context: Context) -> Any:
        try:
            return await method(data, context)
        except ClusterError as error:
            await context.abort(status_of(error), detail_of(error), metadata_of(error))

    return aborting_method
