"""The client for asyncio: the same methods as `cluster.client.sync.Client`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import grpc
from numpy.typing import NDArray

from cluster.api.embedding import Embeddings, Pooling, Ranking
from cluster.api.errors import ClusterError
from cluster.api.model import AdapterInfo, ModelInfo, VocabularyTable
from cluster.api.results import Completion
from cluster.api.sampling import SamplingParams
from cluster.api.status import ClusterStatus, SlotStatus
from cluster.chat.answer import Answer
from cluster.client import aio_chat, calls
from cluster.client.aio_chat import AsyncChatStream
from cluster.client.aio_stream import AsyncMessages, AsyncTokenStream, OpenAsyncMessages
from cluster.client.batch.batch import SMALL_BATCH, Batch, num_open_for
from cluster.client.batch.tasks import complete_one, run_batch
from cluster.client.calls import Call, Specials
from cluster.client.cancels import CALL_TIMEOUT_S, AioCancels
from cluster.client.chatting import ChatModels
from cluster.client.chatting import Messages as ChatMessages
from cluster.client.connection import AioConnection
from cluster.client.finding import Address, SecretOrFile, find
from cluster.client.progress import BatchProgress, Progress
from cluster.client.prompts import Prompt, Prompts, Text, is_batch
from cluster.client.resuming import Keeping, Opened
from cluster.messages.step import Float32Array, StepTiming
from cluster.wire.access.endpoint import sent_with
from cluster.wire.transport.channel import CONNECT_TIMEOUT_MS
from cluster.wire.transport.methods import serialize

Message = TypeVar("Message")
Result = TypeVar("Result")


class AsyncClient:
    """Talks to one cluster over one connection for each event loop that calls it; it may be made where none runs.

    `address`, `secret` and errors as for `cluster.client.sync.Client`; an async context manager that closes it.
    """

    def __init__(self, address: Address | None = None, secret: SecretOrFile | None = None) -> None:
        found = find(address, secret)
        self._endpoint = found.endpoint
        self._given = found.given
        self._given_secret = secret
        self.address = self._endpoint.address
        self._chats = ChatModels()
        self._keeping = Keeping()
        self._connection = AioConnection(self._endpoint)
        self._opened = OpenAsyncMessages()
        self._cancels = AioCancels(self._send_cancel)

    @classmethod
    async def connect(cls, address: Address | None = None, secret: SecretOrFile | None = None) -> Self:
        """A client of a cluster that has answered; UnreachableError within a few seconds if none does."""
        client = cls(address, secret)
        try:
            await client.status(timeout_s=CONNECT_TIMEOUT_MS / 1000)
        except BaseException:
            await client.close()
            raise
        return client

    @overload
    async def generate(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        parse_special: bool = False,
        add_special: bool = True,
        **overrides: Any,
    ) -> Completion: ...
    @overload
    async def generate(
        self,
        prompt: Prompts,
        params: SamplingParams | None = None,
        *,
        parse_special: bool = False,
        add_special: bool = True,
        progress: Progress = None,
        return_errors: Literal[False] = False,
        **overrides: Any,
    ) -> list[Completion]: ...
    @overload
    async def generate(
        self,
        prompt: Prompts,
        params: SamplingParams | None = None,
        *,
        parse_special: bool = False,
        add_special: bool = True,
        progress: Progress = None,
        return_errors: Literal[True],
        **overrides: Any,
    ) -> list[Completion | ClusterError]: ...
    async def generate(
        self,
        prompt: Prompt | Prompts,
        params: SamplingParams | None = None,
        *,
        parse_special: bool = False,
        add_special: bool = True,
        progress: Progress = None,
        return_errors: bool = False,
        **overrides: Any,
    ) -> Completion | list[Completion] | list[Completion | ClusterError]:
        """The completion of a text or of token ids; for several of those, a list in the same order.

        As `Client.generate`; cancelling the task cancels all prompts. An iterator of prompts must not wait.
        """
        if not is_batch(prompt):
            calls.check_single(return_errors)
            return await complete_one(
                self._open, calls.generate_request(prompt, params, overrides, Specials(parse_special, add_special))
            )
        found, num_total = calls.generate_requests(prompt, params, overrides, Specials(parse_special, add_special))
        with BatchProgress(progress) as report:
            batch = Batch(found, num_total, await self._num_to_open(num_total), report)
            await run_batch(self._open, batch)
        return batch.results(return_errors)

    def stream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        parse_special: bool = False,
        add_special: bool = True,
        **overrides: Any,
    ) -> AsyncTokenStream:
        """The events of one prompt's completion, as they come; the last one has a finish_reason.

        `parse_special` as for `Client.generate`.
        """
        call = calls.generate_call(prompt, params, overrides, Specials(parse_special, add_special))
        return AsyncTokenStream(self._open(call), call.decode)

    async def chat(self, messages: ChatMessages, params: SamplingParams | None = None, **options: Any) -> Answer:
        """As `Client.chat`."""
        return await aio_chat.whole(self.chat_stream(messages, params, **options))

    def chat_stream(
        self, messages: ChatMessages, params: SamplingParams | None = None, **options: Any
    ) -> AsyncChatStream:
        """The same, as it comes."""
        return aio_chat.open_chat(self, self._chats, messages, params, options)

    async def logits(self, token_ids: Iterable[int]) -> Float32Array:
        """The logits [T, V] that follow each of T token ids."""
        return await self._collect(*calls.logits_call(token_ids))

    async def embed(
        self,
        inputs: Prompt | Prompts,
        *,
        pooling: str | None = None,
        normalize: bool = True,
        dimensions: int | None = None,
    ) -> Embeddings:
        """Vectors of texts, as for `Client.embed`."""
        return await self._collect(*calls.embed_call(inputs, Pooling.checked(pooling), normalize, dimensions))

    async def rerank(self, query: str, documents: Iterable[str]) -> Ranking:
        """Scores of documents, as for `Client.rerank`."""
        return calls.ranking_of(await self._collect(*calls.rerank_call(query, documents)))

    async def run(self, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, NDArray[Any]]:
        """One call of a program, as `Client.run`."""
        return await self._collect(*calls.run_call(arrays, named))

    async def tokenize(self, text: Text, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """The token ids of `text`; the flags as for `Client.tokenize`."""
        return await self._unary(calls.tokenize_call(text, Specials(parse_special, add_special)))

    async def detokenize(self, token_ids: Iterable[int]) -> str:
        """The text of token ids."""
        return await self._unary(calls.detokenize_call(token_ids))

    async def model(self) -> ModelInfo:
        """What is known of the model that is served."""
        return await self._collect(*calls.model_call())

    async def adapters(self, scales: Mapping[int, float] | None = None) -> tuple[AdapterInfo, ...]:
        """The adapters, by id, with the scales that a request has which gives no `lora`.

        `scales`: what these are for all requests from now on; 0 for an adapter that is left out.
        """
        return await self._unary(calls.adapters_call(scales))

    async def vocabulary(self) -> VocabularyTable:
        """All tokens of the model."""
        return await self._collect(*calls.vocabulary_call())

    async def status(self, timeout_s: float | None = None) -> ClusterStatus:
        """The cluster now, with a row for each stage."""
        return await self._unary(calls.status_call(), timeout_s)

    async def slots(self) -> tuple[SlotStatus, ...]:
        """What each slot is used for now, by id."""
        return await self._unary(calls.slots_call())

    async def intervals(self) -> list[StepTiming]:
        """When each stage computed which step, of late; a step may be told up to half a second after it."""
        return await self._unary(calls.intervals_call())

    async def close(self) -> None:
        """Cancels what is running and closes the connection."""
        self._opened.close()
        await self._cancels.flush()
        await self._connection.close()
        await asyncio.to_thread(self._chats.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> tuple[type[Self], tuple[Address, SecretOrFile | None]]:
        return type(self), (self._given, self._given_secret)  # one that was looked up is looked up again there

    async def _unary(self, call: Call[Result], timeout_s: float | None = None) -> Result:
        method = self._connection.channel().unary_unary(call.path, serialize, bytes)
        proof = self._endpoint.prove(call.path)
        try:
            answer = method(call.request, timeout=timeout_s, metadata=sent_with(proof))
            data = await answer
        except grpc.RpcError as error:
            raise await calls.aio_call_error(error, self._endpoint) from None
        if proof is not None:
            metadata = await answer.initial_metadata()
            proof.check(metadata, f"the cluster at {self.address}")
            self._keeping.learn(metadata)
        return call.decode(data)

    async def _collect(self, call: Call[Message], parts: calls.Parts[Message, Result]) -> Result:
        messages = self._open(call)
        try:
            async for data in messages:
                parts.add(call.decode(data))
        finally:
            messages.close()
        return parts.finish()

    def _open(self, call: Call[Any]) -> AsyncMessages:
        return self._opened.add(AsyncMessages(partial(self._begin, call), self._keeping, call, self._cancels))

    def _begin(self, call: Call[Any]) -> Opened:
        proof = self._endpoint.prove(call.path)
        return Opened(calls.open_call(self._connection.channel(), call, proof), self._endpoint, proof)

    async def _send_cancel(self, tickets: list[bytes]) -> None:
        await self._unary(calls.cancel_call(tickets), CALL_TIMEOUT_S)

    async def _num_to_open(self, num_total: int | None) -> int:
        if num_total is not None and num_total <= SMALL_BATCH:
            return max(1, num_total)
        num_open = num_open_for((await self.status()).num_slots)
        return num_open if num_total is None else min(num_open, num_total)
