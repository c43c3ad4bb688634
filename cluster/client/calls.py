"""The calls a client makes, as data: which method, which request, how the reply is read.

`Client` and `AsyncClient` differ only in how they carry out such a call.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import grpc
from google.protobuf.message import Message

from cluster.api.embedding import Embeddings, Pooling, Ranking
from cluster.api.errors import ClusterError, UsageError
from cluster.api.lists import AdapterScales
from cluster.api.model import AdapterInfo
from cluster.api.prompt import Pair
from cluster.api.results import TokenEvent
from cluster.api.sampling import SamplingParams
from cluster.api.status import ClusterStatus, SlotStatus
from cluster.client.arrays import RunParts, SentArrays, to_arrays
from cluster.client.completion import Completions, LogitsRows
from cluster.client.embedding import EmbeddingParts
from cluster.client.finding import ADDRESS_VARIABLE
from cluster.client.prompts import is_batch, merge_params, to_prompt, to_text, to_token_ids
from cluster.messages.step import Float32Array, StepTiming
from cluster.wire import limits
from cluster.wire.access.endpoint import Endpoint, sent_with
from cluster.wire.access.proof import Proof
from cluster.wire.codec.adapters import decode_adapters, encode_adapters_request
from cluster.wire.codec.answer import Output, decode_answers, decode_events, is_last
from cluster.wire.codec.embedding import decode_embeddings, encode_embed
from cluster.wire.codec.facts import decode_slots, decode_status
from cluster.wire.codec.inference import (
    TICKET_BYTES,
    check_token_ids,
    decode_logits,
    decode_tokenized,
    encode_generate,
    encode_tokenize,
)
from cluster.wire.codec.model import ModelParts, VocabularyParts
from cluster.wire.codec.timing import decode_timing
from cluster.wire.limits import check_length, parse
from cluster.wire.transport.methods import method_path, serialize
from cluster.wire.transport.refusal import hung_up
from protos import arrays_pb2, inference_pb2

Result = TypeVar("Result")
Part = TypeVar("Part", contravariant=True)
Whole = TypeVar("Whole", covariant=True)
GenerateRequest = inference_pb2.GenerateRequest
Outputs = dict[int, list[Output]]  # by request


class Specials(NamedTuple):
    """What becomes of control tokens in a text."""

    parse: bool  # their names in it become these tokens
    add: bool  # those that belong around it are added


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One call. `decode` turns each message of the reply into a result."""

    path: str
    request: Message | Iterable[Message]  # several: they are sent one after the other
    decode: Callable[[bytes], Result]
    # Whether something of the answer is missing still. `decode` keeps the request up to date: made again, the call goes
    # on where it broke. None: it cannot be gone on with.
    is_open: Callable[[], bool] | None = None
    anew: Callable[[], None] | None = None  # forgets what has come, where the call made again begins from the start
    # By name, the requests of it that have not been answered whole: what is to be said where no more is wanted of them.
    tickets: Callable[[], list[bytes]] = list


class Parts(Protocol[Part, Whole]):
    """What the messages of one answer fill."""

    def add(self, part: Part, /) -> None:
        """The next message; UsageError if it does not fit."""

    def finish(self) -> Whole:
        """What they are together. UnreachableError if some are missing."""


class Restarting(Parts[Part, Whole], Protocol):
    """Of a call that can be made again from the start."""

    def reset(self) -> None:
        """Forget all messages."""


def call_error(error: grpc.RpcError, endpoint: Endpoint) -> ClusterError:
    """The project's error for a failed call to the cluster at `endpoint`; for up to 2 s where `hung_up(error)`."""
    by = f" ({ADDRESS_VARIABLE})" if os.environ.get(ADDRESS_VARIABLE) == endpoint.address else ""
    return endpoint.error_of(
        error,
        f"cannot reach a cluster at {endpoint.address}{by}",
        'start one with "cluster up" or give the address of another',
    )


def open_call(channel: Any, call: Call[Any], proof: Proof | None) -> Any:
    """Begin it on a channel of either kind of gRPC. Its answers come as bytes, one after the other."""
    if isinstance(call.request, Message):
        return channel.unary_stream(call.path, serialize, bytes)(call.request, metadata=sent_with(proof))
    return channel.stream_stream(call.path, serialize, bytes)(iter(call.request), metadata=sent_with(proof))


async def aio_call_error(error: grpc.RpcError, endpoint: Endpoint) -> ClusterError:
    """The same, without holding up the event loop."""
    if hung_up(error):
        return await asyncio.to_thread(call_error, error, endpoint)
    return call_error(error, endpoint)


def generate_call(
    prompt: Any, params: SamplingParams | None, overrides: dict[str, Any], specials: Specials
) -> Call[list[TokenEvent]]:
    """One prompt, answered token by token; UsageError names what is wrong with it or with the parameters."""
    request = generate_request(prompt, params, overrides, specials)
    last: list[TokenEvent] = []

    def decode(data: bytes) -> list[TokenEvent]:
        events = decode_events(parse(inference_pb2.GenerateEvents, data))
        request.num_received += len(events)
        last.extend(filter(is_last, events))
        return events

    return Call(
        method_path("Inference", "Generate"),
        request,
        decode,
        lambda: not last,
        tickets=lambda: [] if last else [request.ticket],
    )


def generate_request(
    prompt: Any, params: SamplingParams | None, overrides: dict[str, Any], specials: Specials
) -> GenerateRequest:
    """One prompt; UsageError names what is wrong with it or with the parameters."""
    if is_batch(prompt):
        raise UsageError("prompt: a list of prompts; a stream takes one, generate() takes several")
    request = encode_generate(to_prompt(prompt), merge_params(params, overrides), *specials)
    request.ticket = secrets.token_bytes(TICKET_BYTES)
    return request


def generate_requests(
    prompts: Any, params: SamplingParams | None, overrides: dict[str, Any], specials: Specials
) -> tuple[Iterable[GenerateRequest | ClusterError], int | None]:
    """A request for each prompt, and their number.

    UsageError for parameters, or for a prompt of a list. Of an iterator the number is not known, and a prompt is
    looked at when its request is taken: what is wrong with it then stands in the place of the request.
    """
    merged = merge_params(params, overrides)
    if isinstance(prompts, Iterator):
        return (_request_or_error(prompt, merged, specials) for prompt in prompts), None
    requests = [generate_request(prompt, merged, {}, specials) for prompt in prompts]
    return requests, len(requests)


def complete_call(requests: Sequence[GenerateRequest]) -> tuple[Call[Outputs], Completions]:
    """The call that answers these requests with whole texts, and what its messages fill."""
    message = inference_pb2.CompleteRequest(requests=requests)

    def decode(data: bytes) -> Outputs:
        outputs = decode_answers(parse(inference_pb2.CompleteAnswers, data), len(requests))
        for place, of_request in outputs.items():
            message.requests[place].num_received += len(of_request)
            if of_request and is_last(of_request[-1]):
                message.ended.append(place)
        return outputs

    def open_tickets() -> list[bytes]:
        ended = set(message.ended)
        return [request.ticket for place, request in enumerate(message.requests) if place not in ended]

    call = Call(
        method_path("Inference", "Complete"),
        message,
        decode,
        lambda: len(message.ended) < len(message.requests),
        tickets=open_tickets,
    )
    return call, Completions(len(requests))


def in_calls(placed: Sequence[tuple[int, GenerateRequest]]) -> Iterator[tuple[list[int], list[GenerateRequest]]]:
    """The requests with their places, as many together as fit in one call."""
    places: list[int] = []
    requests: list[GenerateRequest] = []
    size_bytes = 0
    for place, request in placed:
        if requests and (size_bytes >= limits.PART_BYTES or len(requests) == limits.MAX_REQUESTS):
            yield places, requests
            places, requests, size_bytes = [], [], 0
        places.append(place)
        requests.append(request)
        size_bytes += request.ByteSize()
    if requests:
        yield places, requests


def check_single(return_errors: bool) -> None:
    """Refuses what only several prompts can be asked with."""
    if return_errors:
        raise UsageError("return_errors: it is for several prompts, and this is one; give a list")


def _request_or_error(prompt: Any, params: SamplingParams, specials: Specials) -> GenerateRequest | ClusterError:
    try:
        return generate_request(prompt, params, {}, specials)
    except UsageError as error:
        return error


def cancel_call(tickets: Iterable[bytes]) -> Call[None]:
    """No more is wanted of these requests."""
    request = inference_pb2.CancelRequest(tickets=tickets)
    return _call("Cancel", request, inference_pb2.CancelReply, lambda reply: None)


def logits_call(token_ids: Iterable[int]) -> tuple[Call[Float32Array], LogitsRows]:
    """The call, and the array that the rows of its messages fill."""
    ids = check_token_ids("token_ids", to_token_ids("token_ids", token_ids))
    if not ids:
        raise UsageError("token_ids: there are none; give at least one")
    request = inference_pb2.LogitsRequest(token_ids=ids)
    return _restarting(_call("Logits", request, inference_pb2.LogitsPart, decode_logits), LogitsRows(len(ids)))


def embed_call(
    inputs: Any, pooling: Pooling | None, normalize: bool, dimensions: int | None
) -> tuple[Call[tuple[list[int], Float32Array]], EmbeddingParts]:
    """The call, and what its messages fill. `inputs`: one text or list of token ids, or a list of some."""
    if not isinstance(normalize, bool):
        raise UsageError(f"normalize: {normalize!r} is not a boolean; give True or False")
    given = list(inputs) if is_batch(inputs) else [inputs]
    if not given:
        raise UsageError("inputs: there are none; give at least one")
    request = encode_embed([to_prompt(one, "inputs") for one in given], pooling)
    parts = EmbeddingParts(len(given), normalize, dimensions)
    return _restarting(_call("Embed", request, inference_pb2.EmbedPart, decode_embeddings), parts)


def rerank_call(query: Any, documents: Any) -> tuple[Call[tuple[list[int], Float32Array]], EmbeddingParts]:
    """The call, and what its messages fill: scores, one for each document."""
    if not isinstance(query, str):
        raise UsageError(f"query: {type(query).__name__} is no text; give a str")
    given: list[Any] = [] if isinstance(documents, str) else list(documents)
    if isinstance(documents, str) or not all(isinstance(one, str) for one in given):
        raise UsageError("documents: it is no list of texts; give a list of str")
    if not given:
        raise UsageError("documents: there are none; give at least one")
    request = encode_embed([Pair(query, one) for one in given], Pooling.RANK)
    parts = EmbeddingParts(len(given), normalize=False, dimensions=None)
    return _restarting(_call("Embed", request, inference_pb2.EmbedPart, decode_embeddings), parts)


def ranking_of(found: Embeddings) -> Ranking:
    """Of several scores that a model gives, the first one counts."""
    return Ranking(found.vectors[:, 0], found.num_prompt_tokens)


def run_call(arrays: Any, named: Mapping[str, Any]) -> tuple[Call[arrays_pb2.ArraysPart], RunParts]:
    """The call of a program, and what its messages fill."""
    given = to_arrays(arrays, named)
    path = method_path("Inference", "Run")
    return _restarting(Call(path, SentArrays(given), lambda data: parse(arrays_pb2.ArraysPart, data)), RunParts())


def tokenize_call(text: Any, specials: Specials) -> Call[list[int]]:
    request = encode_tokenize(to_text("text", text), *specials)
    return _call(
        "Tokenize",
        request,
        inference_pb2.TokenizeReply,
        decode_tokenized,
    )


def detokenize_call(token_ids: Iterable[int]) -> Call[str]:
    ids = check_token_ids("token_ids", to_token_ids("token_ids", token_ids))
    request = inference_pb2.DetokenizeRequest(token_ids=ids)
    return _call("Detokenize", request, inference_pb2.DetokenizeReply, lambda reply: str(reply.text))


def model_call() -> tuple[Call[inference_pb2.ModelReply], ModelParts]:
    """The call, and what its messages fill."""
    request = inference_pb2.ModelRequest()
    return _call("Model", request, inference_pb2.ModelReply, lambda reply: reply), ModelParts()


def adapters_call(scales: Any) -> Call[tuple[AdapterInfo, ...]]:
    """`scales`: pairs, or a dict; None: they stay as they are."""
    request = encode_adapters_request(None if scales is None else AdapterScales().checked("scales", scales))
    return _call("Adapters", request, inference_pb2.AdaptersReply, decode_adapters)


def vocabulary_call() -> tuple[Call[inference_pb2.VocabularyPart], VocabularyParts]:
    """The call, and what its messages fill."""
    request = inference_pb2.VocabularyRequest()
    return _call("Vocabulary", request, inference_pb2.VocabularyPart, lambda part: part), VocabularyParts()


def status_call() -> Call[ClusterStatus]:
    return _call("Status", inference_pb2.StatusRequest(), inference_pb2.StatusReply, decode_status)


def slots_call() -> Call[tuple[SlotStatus, ...]]:
    return _call("Slots", inference_pb2.SlotsRequest(), inference_pb2.SlotsReply, decode_slots)


def intervals_call() -> Call[list[StepTiming]]:
    return _call("Intervals", inference_pb2.IntervalsRequest(), inference_pb2.IntervalsReply, _decode_intervals)


def _call(method: str, request: Message, reply: type[Message], decode: Callable[[Any], Result]) -> Call[Result]:
    return Call(method_path("Inference", method), request, lambda data: decode(parse(reply, data)))


Filled = TypeVar("Filled", bound=Restarting[Any, Any])


def _restarting(call: Call[Result], parts: Filled) -> tuple[Call[Result], Filled]:
    """Made again, it begins from the start: what it computes does not depend on how often it is asked."""
    return replace(call, is_open=lambda: True, anew=parts.reset), parts


def _decode_intervals(reply: inference_pb2.IntervalsReply) -> list[StepTiming]:
    check_length("intervals", reply.intervals, limits.MAX_INTERVALS)
    return [decode_timing(timing) for timing in reply.intervals]
