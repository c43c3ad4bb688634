"""The methods of the Inference service: each checks a request, asks the backend, sends what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from google.protobuf.message import Message

from cluster.api.errors import CapacityError, ClusterError, ContextOverflowError, UnreachableError
from cluster.api.pictures import MAX_PICTURES_BYTES
from cluster.api.prompt import Pair, Segments
from cluster.api.results import TokenEvent
from cluster.api.sampling import MAX_GRAMMAR_BYTES, MAX_GRAMMAR_PREFIX_BYTES
from cluster.fairness.threads import FairThreads
from cluster.messages.pictures import PicturedPrompt
from cluster.messages.step import Float32Array
from cluster.wire.access.client_name import client_name
from cluster.wire.codec.answer import Output, encode_answers, encode_events, is_last
from cluster.wire.codec.embedding import decode_embed, encode_embeddings
from cluster.wire.codec.inference import (
    PromptRequest,
    check_token_ids,
    decode_cancel,
    decode_complete,
    decode_generate,
    decode_tokenize,
    encode_logits,
    picture_bytes,
)
from cluster.wire.inference.aborting import Context, aborting
from cluster.wire.inference.backend import InferenceBackend
from cluster.wire.inference.embed_group import EmbedGroup
from cluster.wire.inference.facts import FactStreams
from cluster.wire.inference.held import HeldRequests
from cluster.wire.inference.mailbox import LoopMailbox, StreamInbox
from cluster.wire.inference.request_group import RequestGroup
from cluster.wire.inference.run_streams import RunStreams
from cluster.wire.limits import parse
from cluster.wire.transport.methods import Methods
from protos import inference_pb2

Made = TypeVar("Made")

# For what may take its time: asking the stages, and turning very many token ids into text.
_NUM_THREADS = 4
# Bytes of requests that have not begun; only long ones count, and are refused above it.
MAX_WAITING_BYTES = 24 << 20
LONG_REQUEST_BYTES = 64 << 10
# Logits that a client has not read yet; more than that, and it is cut off.
MAX_UNREAD_LOGITS_BYTES = 1 << 30


class InferenceStreams:
    """Lives on one event loop. Every open stream has an inbox that the engine fills from its thread."""

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend
        self._held = HeldRequests(backend)
        self._threads = FairThreads(_NUM_THREADS, "inference-backend")
        self._mailbox = LoopMailbox(asyncio.get_running_loop())
        self._inboxes: set[StreamInbox[Any]] = set()
        self._tokenizing: set[asyncio.Task[Any]] = set()
        self._is_ending = False
        self._num_waiting_bytes = 0

    def methods(self) -> Methods:
        """For `service.register`."""
        return {
            "Generate": aborting(self._generate),
            "Complete": aborting(self._complete),
            "Cancel": aborting(self._cancel),
            "Logits": aborting(self._logits),
            "Embed": aborting(self._embed),
            "Run": aborting(RunStreams(self._backend, self._mailbox, self._open).run),
            "Tokenize": aborting(self._tokenize),
            "Detokenize": aborting(self._detokenize),
            **FactStreams(self._backend, self._call).methods(),
        }

    def end_all(self) -> None:
        """Ends every open stream with UnreachableError."""
        self._is_ending = True
        for inbox in self._inboxes:
            inbox.put(_going_down())
        for task in self._tokenizing:
            task.cancel()

    def close(self) -> None:
        """Ends the threads, and requests that nobody came back for; all streams must have ended."""
        self._held.close()
        self._threads.shutdown()

    async def _generate(self, data: bytes, context: Context) -> None:
        client = client_name(context)
        inbox: StreamInbox[Output] = StreamInbox(self._mailbox)
        most_beside = MAX_PICTURES_BYTES if self._backend.takes_pictures else 0
        self._check_size(len(data) - MAX_GRAMMAR_BYTES - MAX_GRAMMAR_PREFIX_BYTES - most_beside)
        with self._waiting(data):
            asked = parse(inference_pb2.GenerateRequest, data)
            self._check_size(len(data) - asked.params.ByteSize() - min(picture_bytes(asked), most_beside))
            request = decode_generate(asked)
            sink = inbox.put  # one object: by it the stream is known
            claim = self._held.resume(request, sink)
            if claim is None:
                claim = self._held.begin(request, await self._prompt(client, request), sink, client)
        with self._open(inbox, claim.end, claim.leave):
            has_ended = False
            while not has_ended:
                events, error = _until_error(await inbox.take_all())
                for message in encode_events(events):
                    await context.write(message)
                has_ended = bool(events) and is_last(events[-1])
                if error is not None and not has_ended:
                    raise error

    async def _complete(self, data: bytes, context: Context) -> None:
        client = client_name(context)
        requests = decode_complete(parse(inference_pb2.CompleteRequest, data))
        group = RequestGroup(requests, self._held, self._mailbox, client)
        with self._open(group.inbox, group.end, group.leave):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._start_group(group, data, client))
                while group.is_open:
                    for message in encode_answers(await group.take()):
                        await context.write(message)

    async def _start_group(self, group: RequestGroup, data: bytes, client: str) -> None:
        try:
            with self._waiting(data):
                await group.start(lambda request: self._prompt(client, request))
        except ClusterError as error:
            group.inbox.put(error)

    async def _cancel(self, data: bytes, context: Context) -> Message:
        self._held.cancel(decode_cancel(parse(inference_pb2.CancelRequest, data)))
        return inference_pb2.CancelReply()

    async def _logits(self, data: bytes, context: Context) -> None:
        token_ids = check_token_ids("token_ids", parse(inference_pb2.LogitsRequest, data).token_ids)
        inbox: StreamInbox[Float32Array | ClusterError | None] = StreamInbox(self._mailbox)
        unread = _UnreadLogits(inbox)
        with self._open(inbox, self._backend.logits(token_ids, unread.put, client_name(context))):
            while True:
                for item in await inbox.take_all():
                    if isinstance(item, ClusterError):
                        raise item
                    if item is None:
                        return
                    for part in encode_logits(item):
                        await context.write(part)
                    unread.num_read_bytes += item.nbytes

    async def _embed(self, data: bytes, context: Context) -> None:
        client = client_name(context)
        with self._waiting(data):
            group = EmbedGroup(decode_embed(parse(inference_pb2.EmbedRequest, data)), self._mailbox, client)
            with self._open(group.inbox, group.cancel):
                found = group.vectors(self._backend, lambda text: self._tokenized(client, "inputs", text, True))
                async for num_tokens, vectors in found:
                    for part in encode_embeddings(num_tokens, vectors):
                        await context.write(part)

    async def _tokenize(self, data: bytes, context: Context) -> Message:
        most_beside = MAX_PICTURES_BYTES if self._backend.takes_pictures else 0
        self._check_size(len(data) - most_beside)
        with self._waiting(data):
            request = parse(inference_pb2.TokenizeRequest, data)
            self._check_size(len(data) - min(picture_bytes(request), most_beside))
            segments, client = decode_tokenize(request), client_name(context)
            if any(segment.picture for segment in segments):
                making = self._backend.pictured(client, "text", segments, request.add_special)
                token_ids: Sequence[int] = (await self._made(making)).token_ids
            else:
                token_ids = await self._tokenized(client, "text", segments, request.add_special)
        return inference_pb2.TokenizeReply(token_ids=token_ids)

    async def _detokenize(self, data: bytes, context: Context) -> Message:
        token_ids = check_token_ids("token_ids", parse(inference_pb2.DetokenizeRequest, data).token_ids)
        return inference_pb2.DetokenizeReply(text=await self._call(context, self._backend.detokenize, token_ids))

    async def _call(self, context: Context, method: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.wrap_future(self._threads.submit(client_name(context), method, *args))

    async def _prompt(self, client: str, request: PromptRequest) -> list[int] | PicturedPrompt:
        """Once all of the request is known to be good."""
        params = request.params
        if params.grammar or params.dry_multiplier:
            await asyncio.wrap_future(self._threads.submit(client, self._backend.check_grammar, params.grammar))
        if isinstance(request.prompt, list):
            return request.prompt
        if any(segment.picture for segment in request.prompt):
            return await self._made(self._backend.pictured(client, "prompt", request.prompt, request.add_special))
        return await self._tokenized(client, "prompt", request.prompt, request.add_special)

    async def _tokenized(self, client: str, field: str, text: Segments | Pair, add_special: bool) -> list[int]:
        if isinstance(text, Pair):
            return await self._made(self._backend.tokenize_pair(client, text))
        return await self._made(self._backend.tokenize(client, field, text, add_special))

    async def _made(self, making: Coroutine[Any, Any, Made]) -> Made:
        """What the backend makes of a text; UnreachableError once all streams end."""
        if self._is_ending:
            making.close()
            raise _going_down()
        task = asyncio.ensure_future(making)
        self._tokenizing.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if self._is_ending and this is not None and not this.cancelling():
                raise _going_down() from None
            raise
        finally:
            self._tokenizing.discard(task)

    def _check_size(self, num_bytes: int) -> None:
        """UsageError for a request of one prompt, all but its grammar, that is too long whatever it is made of."""
        most = self._backend.max_prompt_bytes + LONG_REQUEST_BYTES
        if num_bytes > most:
            raise ContextOverflowError(f"request: {num_bytes} bytes cannot fit into the context; give at most {most}")

    @contextmanager
    def _waiting(self, data: bytes) -> Iterator[None]:
        """Around what happens to a request before it begins. CapacityError for one too much of long ones."""
        num_bytes = len(data) if len(data) > LONG_REQUEST_BYTES else 0
        if num_bytes and self._num_waiting_bytes + num_bytes > MAX_WAITING_BYTES:
            raise CapacityError(
                f"queue: {self._num_waiting_bytes} bytes of requests wait for the tokenizer; ask again later"
            )
        self._num_waiting_bytes += num_bytes
        try:
            yield
        finally:
            self._num_waiting_bytes -= num_bytes

    @contextmanager
    def _open(
        self, inbox: StreamInbox[Any], end: Callable[[], None], leave: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Around a stream that is open.

        `end`: what is to become of what it asked of the backend, once it was answered, if only with an error. `leave`:
        the same where its client is gone.
        """
        self._inboxes.add(inbox)
        if self._is_ending:
            inbox.put(_going_down())
        at_end = end if leave is None else leave
        try:
            yield
            at_end = end
        except ClusterError:
            at_end = end
            raise
        finally:
            self._inboxes.discard(inbox)
            at_end()


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


def _going_down() -> UnreachableError:
    return UnreachableError('the cluster is going down; start it again with "cluster up"')


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
