"""The client: ``cluster.connect()`` and what can be asked of a cluster. Needs gRPC and numpy, no Ray."""

from __future__ import annotations

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
from cluster.client import calls, chat
from cluster.client.batch.batch import SMALL_BATCH, Batch, num_open_for
from cluster.client.batch.threads import complete_one, run_batch
from cluster.client.calls import Call, Specials
from cluster.client.cancels import CALL_TIMEOUT_S
from cluster.client.chat import ChatStream
from cluster.client.chatting import ChatModels
from cluster.client.chatting import Messages as ChatMessages
from cluster.client.connection import Connection
from cluster.client.finding import Address, SecretOrFile, find
from cluster.client.progress import BatchProgress, Progress
from cluster.client.prompts import Prompt, Prompts, Text, is_batch
from cluster.client.resuming import Keeping, Opened
from cluster.client.stream import Messages, OpenMessages, TokenStream
from cluster.messages.step import Float32Array, StepTiming
from cluster.wire.access.endpoint import sent_with
from cluster.wire.transport.channel import CONNECT_TIMEOUT_MS
from cluster.wire.transport.methods import serialize

Message = TypeVar("Message")
Result = TypeVar("Result")


def connect(address: Address | None = None, secret: SecretOrFile | None = None) -> Client:
    """A client of the cluster at `address`, which has answered.

    address: "host:port", or the path of a file (a `Path`, or it ends in ".toml") such as ``cluster connect`` prints.
    Without: CLUSTER_ADDRESS, the file that CLUSTER_CONFIG names, or the cluster that ``cluster up`` started here or
    that this machine has joined.
    secret: the cluster's secret for clients, as digits, or the path of a file that holds them. Without: that in
    CLUSTER_SECRET, in the file that CLUSTER_SECRET_FILE names, or what ``cluster up`` wrote for this user; a file
    given as `address` has its own.
    Raises UnreachableError within a few seconds if nothing answers, UnauthenticatedError if the secret is not that
    of the cluster there, HandshakeError if it is another version.
    """
    client = Client(address, secret)
    try:
        client.status(timeout_s=CONNECT_TIMEOUT_MS / 1000)
    except BaseException:
        client.close()
        raise
    return client


class Client:
    """Talks to one cluster over one connection. Threads may share it; a context manager that closes it.

    `address` and `secret` as for `connect`, but nothing is called yet: a client that was not used survives a fork, and
    one that is pickled or copied connects anew. All methods raise the errors of `cluster.api.errors`: UsageError for a
    request that cannot be, CapacityError when the cluster is full, UnreachableError when it is gone, StageLostError
    when one of its stages is.
    """

    def __init__(self, address: Address | None = None, secret: SecretOrFile | None = None) -> None:
        found = find(address, secret)
        self._endpoint = found.endpoint
        self._given = found.given
        self._given_secret = secret
        self.address = self._endpoint.address
        self._chats = ChatModels()
        self._keeping = Keeping()
        self._connection = Connection(self._endpoint)
        self._opened = OpenMessages()

    @overload
    def generate(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        parse_special: bool = False,
        add_special: bool = True,
        **overrides: Any,
    ) -> Completion: ...
    @overload
    def generate(
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
    def generate(
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
    def generate(
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

        `overrides` replace single fields of `params`. Several prompts are a list, or an iterator, from which they
        are taken as slots come free. They run at the same time, as many as the cluster has slots; a full queue is
        asked again, for up to ten minutes in which nothing ends. When one fails the others go on, and at the end
        its error is raised: its `completions` hold what became of each prompt, a Completion or a ClusterError. With
        `return_errors` that list is returned instead. A lost cluster ends the batch, and an exception in this
        thread, such as KeyboardInterrupt, too.

        parse_special: names of control tokens in a text, such as "<|im_start|>", become these tokens. Else they are
        plain text, so that nobody else's words can end a turn of a chat. A prompt may also be a tuple of `Segment`,
        each with its own.
        add_special: the tokens that the model expects around a text (such as BOS) are added.
        progress: True shows how far the batch is on stderr, None where that is a terminal; a function is called
        with the numbers of prompts done and in all (taken so far, of an iterator).
        """
        if not is_batch(prompt):
            calls.check_single(return_errors)
            return complete_one(
                self._open, calls.generate_request(prompt, params, overrides, Specials(parse_special, add_special))
            )
        found, num_total = calls.generate_requests(prompt, params, overrides, Specials(parse_special, add_special))
        with BatchProgress(progress) as report:
            batch = Batch(found, num_total, self._num_to_open(num_total), report)
            run_batch(self._open, batch)
        return batch.results(return_errors)

    def stream(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        parse_special: bool = False,
        add_special: bool = True,
        **overrides: Any,
    ) -> TokenStream:
        """The events of one prompt's completion, as they come; the last one has a finish_reason.

        `parse_special` as for `generate`.
        """
        call = calls.generate_call(prompt, params, overrides, Specials(parse_special, add_special))
        return TokenStream(self._open(call), call.decode)

    def chat(self, messages: ChatMessages, params: SamplingParams | None = None, **options: Any) -> Answer:
        """The answer to a conversation: its content, reasoning and tool calls.

        messages: dicts in OpenAI's shape, or Messages. `options` are those of `cluster.client.chatting.ChatOptions`
        (tools, tool_choice, response_format and so on); others replace single fields of `params`. Without `params`
        an answer is as long as the model makes it. The model's own template writes the prompt; UsageError if it
        refuses the messages, and if a schema cannot be enforced.
        """
        return chat.whole(self.chat_stream(messages, params, **options))

    def chat_stream(self, messages: ChatMessages, params: SamplingParams | None = None, **options: Any) -> ChatStream:
        """The same, as it comes."""
        return chat.open_chat(self, self._chats, messages, params, options)

    def logits(self, token_ids: Iterable[int]) -> Float32Array:
        """The logits [T, V] that follow each of T token ids."""
        return self._collect(*calls.logits_call(token_ids))

    def embed(
        self,
        inputs: Prompt | Prompts,
        *,
        pooling: str | None = None,
        normalize: bool = True,
        dimensions: int | None = None,
    ) -> Embeddings:
        """Vectors of texts, or of lists of token ids: one of them, or a list; the answer has a row for each.

        pooling: "mean", "cls" (the first row) or "last"; None is what the model says.
        normalize: vectors of length 1.
        dimensions: the first so many numbers of each: of models that were trained for that.
        UnsupportedModelError if the model makes text, unless the cluster was started with --embeddings.
        """
        return self._collect(*calls.embed_call(inputs, Pooling.checked(pooling), normalize, dimensions))

    def rerank(self, query: str, documents: Iterable[str]) -> Ranking:
        """How well each of `documents` answers `query`, by a model that was made for that; a higher score is better.

        UnsupportedModelError if the model gives no scores.
        """
        return calls.ranking_of(self._collect(*calls.rerank_call(query, documents)))

    def run(self, arrays: Mapping[str, Any] | None = None, /, **named: Any) -> dict[str, NDArray[Any]]:
        """One call of a program: named arrays in, named arrays out, as `model().metadata` says.

        Numpy arrays, or what numpy makes one of; `arrays` for names that are no keywords. Calls of several threads, or
        of `AsyncClient`, overlap. A bfloat16 comes back as float32. UsageError for arrays that the program does not
        take, CapacityError for those that have no room; UnsupportedModelError of a model that is no program.
        """
        return self._collect(*calls.run_call(arrays, named))

    def tokenize(self, text: Text, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """The token ids of `text`.

        add_special: with the tokens that the model expects around a text (such as BOS).
        parse_special: the names of control tokens in the text become these tokens.

        Of a text with pictures, as `generate` takes it, the list is as long as the prompt: negative numbers, the same
        for the same picture, stand in the place of its rows.
        """
        return self._unary(calls.tokenize_call(text, Specials(parse_special, add_special)))

    def detokenize(self, token_ids: Iterable[int]) -> str:
        """The text of token ids."""
        return self._unary(calls.detokenize_call(token_ids))

    def model(self) -> ModelInfo:
        """What is known of the model that is served."""
        return self._collect(*calls.model_call())

    def adapters(self, scales: Mapping[int, float] | None = None) -> tuple[AdapterInfo, ...]:
        """The adapters, by id, with the scales that a request has which gives no `lora`.

        `scales`: what these are for all requests from now on; 0 for an adapter that is left out.
        """
        return self._unary(calls.adapters_call(scales))

    def vocabulary(self) -> VocabularyTable:
        """All tokens of the model."""
        return self._collect(*calls.vocabulary_call())

    def status(self, timeout_s: float | None = None) -> ClusterStatus:
        """The cluster now, with a row for each stage."""
        return self._unary(calls.status_call(), timeout_s)

    def slots(self) -> tuple[SlotStatus, ...]:
        """What each slot is used for now, by id."""
        return self._unary(calls.slots_call())

    def intervals(self) -> list[StepTiming]:
        """When each stage computed which step, of late; a step may be told up to half a second after it."""
        return self._unary(calls.intervals_call())

    def close(self) -> None:
        """Cancels what is running and closes the connection."""
        self._opened.close()
        self._connection.close()
        self._chats.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Self], tuple[Address, SecretOrFile | None]]:
        return type(self), (self._given, self._given_secret)  # one that was looked up is looked up again there

    def _unary(self, call: Call[Result], timeout_s: float | None = None) -> Result:
        method = self._connection.channel().unary_unary(call.path, serialize, bytes)
        proof = self._endpoint.prove(call.path)
        try:
            data, answer = method.with_call(call.request, timeout=timeout_s, metadata=sent_with(proof))
        except grpc.RpcError as error:
            raise calls.call_error(error, self._endpoint) from None
        if proof is not None:
            metadata = answer.initial_metadata()
            proof.check(metadata, f"the cluster at {self.address}")
            self._keeping.learn(metadata)
        return call.decode(data)

    def _collect(self, call: Call[Message], parts: calls.Parts[Message, Result]) -> Result:
        messages = self._open(call)
        try:
            for data in messages:
                parts.add(call.decode(data))
        finally:
            messages.close()
        return parts.finish()

    def _open(self, call: Call[Any]) -> Messages:
        return self._opened.add(Messages(partial(self._begin, call), self._keeping, call, self._send_cancel))

    def _begin(self, call: Call[Any]) -> Opened:
        proof = self._endpoint.prove(call.path)
        return Opened(calls.open_call(self._connection.channel(), call, proof), self._endpoint, proof)

    def _send_cancel(self, tickets: list[bytes]) -> grpc.Future[Any]:
        call = calls.cancel_call(tickets)
        method = self._connection.channel().unary_unary(call.path, serialize, bytes)
        metadata = sent_with(self._endpoint.prove(call.path))
        return method.future(call.request, timeout=CALL_TIMEOUT_S, metadata=metadata)

    def _num_to_open(self, num_total: int | None) -> int:
        if num_total is not None and num_total <= SMALL_BATCH:
            return max(1, num_total)
        num_open = num_open_for(self.status().num_slots)
        return num_open if num_total is None else min(num_open, num_total)
