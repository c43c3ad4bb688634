"""Requests of clients, and logits <-> protobuf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.api.errors import ClusterError, UsageError
from cluster.api.pictures import MAX_PICTURES, MAX_PICTURES_BYTES
from cluster.api.prompt import Segment, Segments
from cluster.api.sampling import SamplingParams
from cluster.messages.step import Float32Array
from cluster.wire import limits
from cluster.wire.codec.rows import split_rows
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from cluster.wire.limits import check_length, check_range
from protos import inference_pb2

Prompt = str | Segments | list[int]

TICKET_BYTES = 16  # of a request's name

TextRequest = inference_pb2.GenerateRequest | inference_pb2.TokenizeRequest


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """What a client asks for.

    add_special: with the tokens that belong around a text.
    ticket: names the request, so that it can be asked for again; empty where it will not be.
    num_received: events that the client has of it.
    """

    prompt: Segments | list[int]
    params: SamplingParams
    add_special: bool = True
    ticket: bytes = b""
    num_received: int = 0


def check_text(field: str, text: str) -> str:
    """UsageError unless `text` is valid Unicode of at most MAX_PROMPT_BYTES."""
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"{field}: not valid Unicode ({error.reason}); remove lone surrogates") from error
    if size_bytes > limits.MAX_PROMPT_BYTES:
        raise UsageError(f"{field}: {size_bytes} bytes of text; give at most {limits.MAX_PROMPT_BYTES}")
    return text


def check_segments(field: str, segments: Segments) -> Segments:
    """UsageError unless there are at most MAX_SEGMENTS, which together are a text that `check_text` takes.

    And of pictures at most MAX_PICTURES, of MAX_PICTURES_BYTES in all, each in the place of a text.
    """
    check_length(field, segments, limits.MAX_SEGMENTS)
    pictures = [segment for segment in segments if segment.picture]
    if len(pictures) > MAX_PICTURES or sum(len(one.picture) for one in pictures) > MAX_PICTURES_BYTES:
        raise UsageError(
            f"{field}: {len(pictures)} pictures of {sum(len(one.picture) for one in pictures)} bytes; give at most "
            f"{MAX_PICTURES}, of {MAX_PICTURES_BYTES} bytes in all"
        )
    if any(segment.text for segment in pictures):
        raise UsageError(f"{field}: a segment with a text and a picture; give each its own")
    check_text(field, "".join(segment.text for segment in segments))
    return segments


def check_token_ids(field: str, token_ids: Sequence[int]) -> list[int]:
    """A list of at most MAX_PROMPT_TOKENS token ids, each in [0, 2**31)."""
    check_length(field, token_ids, limits.MAX_PROMPT_TOKENS)
    ids = list(token_ids)
    if ids and (min(ids) < 0 or max(ids) > limits.MAX_INT32):
        wrong = min(ids) if min(ids) < 0 else max(ids)
        raise UsageError(f"{field}: {wrong} is no token id; give ids from 0 to {limits.MAX_INT32}")
    return ids


def encode_generate(
    prompt: Prompt, params: SamplingParams, parse_special: bool = False, add_special: bool = True
) -> inference_pb2.GenerateRequest:
    _check_specials(prompt, parse_special, add_special)
    request = inference_pb2.GenerateRequest(
        params=encode_sampling(params), parse_special=parse_special, add_special=add_special
    )
    if isinstance(prompt, list):
        request.token_ids.ids.extend(check_token_ids("prompt", prompt))
        request.token_ids.SetInParent()  # an empty list is a prompt too; the coordinator judges it
    else:
        _put_text(request, "prompt", prompt)
    return request


def decode_generate(message: inference_pb2.GenerateRequest) -> PromptRequest:
    params = decode_sampling(message.params)
    if len(message.ticket) not in (0, TICKET_BYTES):
        raise UsageError(f"ticket: {len(message.ticket)} bytes; give {TICKET_BYTES}, or none")
    kind = message.WhichOneof("prompt")
    if kind is None:
        raise UsageError("prompt: there is none; give a text or token ids")
    ticket, num_received = message.ticket, message.num_received
    if kind == "token_ids":
        ids = check_token_ids("prompt", message.token_ids.ids)
        return PromptRequest(ids, params, ticket=ticket, num_received=num_received)
    add_special = message.add_special or not message.HasField("add_special")
    return PromptRequest(_segments_of(message, "prompt"), params, add_special, ticket, num_received)


def encode_tokenize(
    text: str | Segments, parse_special: bool = False, add_special: bool = True
) -> inference_pb2.TokenizeRequest:
    _check_specials(text, parse_special, add_special)
    request = inference_pb2.TokenizeRequest(add_special=add_special, parse_special=parse_special)
    _put_text(request, "text", text)
    return request


def decode_tokenize(message: inference_pb2.TokenizeRequest) -> Segments:
    return _segments_of(message, "text")


def decode_tokenized(message: inference_pb2.TokenizeReply) -> list[int]:
    """Token ids, and negative numbers in the place of rows of pictures."""
    check_length("token_ids", message.token_ids, limits.MAX_PROMPT_TOKENS)
    return list(message.token_ids)


def without_pictures(field: str, segments: Segments) -> Segments:
    """UsageError for segments some of which are pictures."""
    if any(segment.picture for segment in segments):
        raise UsageError(f"{field}: pictures can be part of prompts that are answered only; give texts")
    return segments


def decode_segments(field: str, message: inference_pb2.Segments) -> Segments:
    """As `check_segments` takes them."""
    check_length(field, message.segments, limits.MAX_SEGMENTS)
    found = tuple(Segment(one.text, one.parse_special, one.picture) for one in message.segments)
    return check_segments(field, found)


def picture_bytes(message: TextRequest) -> int:
    """How many of its bytes are pictures'."""
    return sum(len(segment.picture) for segment in message.segments.segments)


def decode_complete(message: inference_pb2.CompleteRequest) -> list[PromptRequest | ClusterError | None]:
    """As `decode_generate`, for each: what is wrong with one stands in its place, None for one that has ended."""
    check_length("requests", message.requests, limits.MAX_REQUESTS)
    check_length("ended", message.ended, limits.MAX_REQUESTS)
    ended = set(message.ended)
    return [None if place in ended else _request_or_error(one) for place, one in enumerate(message.requests)]


def decode_cancel(message: inference_pb2.CancelRequest) -> list[bytes]:
    """Tickets of requests."""
    check_length("tickets", message.tickets, limits.MAX_REQUESTS)
    return list(message.tickets)


def encode_logits(logits: Float32Array) -> Iterator[inference_pb2.LogitsPart]:
    """Messages with the rows of logits [r, V], split where they would be too long."""
    vocab_size = logits.shape[1]
    for data in split_rows(logits):
        yield inference_pb2.LogitsPart(num_rows=len(data) // (4 * vocab_size), vocab_size=vocab_size, logits=data)


def decode_logits(message: inference_pb2.LogitsPart) -> Float32Array:
    """Rows [r, V], read-only."""
    num_rows = check_range("logits.num_rows", message.num_rows, 1, limits.MAX_ROWS)
    vocab_size = check_range("logits.vocab_size", message.vocab_size, 1, limits.MAX_VOCAB)
    if len(message.logits) != 4 * num_rows * vocab_size:
        raise UsageError(
            f"logits: {len(message.logits)} bytes; {num_rows} rows of {vocab_size} float32 "
            f"take {4 * num_rows * vocab_size}"
        )
    rows = np.frombuffer(message.logits, "<f4").reshape(num_rows, vocab_size)
    return rows.astype(np.float32, copy=False)


def _check_specials(prompt: Prompt, parse_special: bool, add_special: bool) -> None:
    for name, value in (("parse_special", parse_special), ("add_special", add_special)):
        if not isinstance(value, bool):
            raise UsageError(f"{name}: {value!r} is not a boolean; give True or False")
    if parse_special and isinstance(prompt, tuple):
        raise UsageError("parse_special: each segment of the prompt has its own; leave it out")


def _put_text(request: TextRequest, field: str, text: str | Segments) -> None:
    if isinstance(text, str):
        request.text = check_text(field, text)
        return
    for segment in check_segments(field, text):
        request.segments.segments.add(text=segment.text, parse_special=segment.parse_special, picture=segment.picture)
    request.segments.SetInParent()


def _segments_of(message: TextRequest, field: str) -> Segments:
    if message.WhichOneof("prompt") != "segments":
        return (Segment(check_text(field, message.text), message.parse_special),)
    return decode_segments(field, message.segments)


def _request_or_error(message: inference_pb2.GenerateRequest) -> PromptRequest | ClusterError:
    try:
        return decode_generate(message)
    except ClusterError as error:
        return error
