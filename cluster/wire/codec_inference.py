"""Requests of clients, token events and logits <-> protobuf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np

from cluster.errors import UsageError
from cluster.messages import FinishReason, Float32Array, Timings, TokenEvent
from cluster.sampling import SamplingParams
from cluster.wire import limits
from cluster.wire.codec_rows import split_rows
from cluster.wire.codec_sampling import decode_sampling, decode_top, encode_sampling, encode_top
from cluster.wire.limits import check_length, check_range
from protos import inference_pb2

Prompt = str | Sequence[int]

# The most that an event's place in a message adds to it: the field's number, and a length below 2**28.
_EVENT_HEADER_BYTES = 5
_TIMINGS = tuple(field.name for field in fields(Timings))
_REASONS = {reason: f"FINISH_REASON_{reason.name}" for reason in FinishReason}
_REASON_OF_NUMBER = {inference_pb2.FinishReason.Value(name): reason for reason, name in _REASONS.items()}


def check_text(field: str, text: str) -> str:
    """UsageError unless `text` is valid Unicode of at most MAX_PROMPT_BYTES."""
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"{field}: not valid Unicode ({error.reason}); remove lone surrogates") from error
    if size_bytes > limits.MAX_PROMPT_BYTES:
        raise UsageError(f"{field}: {size_bytes} bytes of text; give at most {limits.MAX_PROMPT_BYTES}")
    return text


def check_token_ids(field: str, token_ids: Sequence[int]) -> list[int]:
    """A list of at most MAX_PROMPT_TOKENS token ids, each in [0, 2**31)."""
    check_length(field, token_ids, limits.MAX_PROMPT_TOKENS)
    ids = list(token_ids)
    if ids and (min(ids) < 0 or max(ids) > limits.MAX_INT32):
        wrong = min(ids) if min(ids) < 0 else max(ids)
        raise UsageError(f"{field}: {wrong} is no token id; give ids from 0 to {limits.MAX_INT32}")
    return ids


def encode_generate(
    prompt: Prompt, params: SamplingParams, in_one_piece: bool = False
) -> inference_pb2.GenerateRequest:
    request = inference_pb2.GenerateRequest(params=encode_sampling(params), in_one_piece=in_one_piece)
    if isinstance(prompt, str):
        request.text = check_text("prompt", prompt)
    else:
        request.token_ids.ids.extend(check_token_ids("prompt", prompt))
        request.token_ids.SetInParent()  # an empty list is a prompt too; the coordinator judges it
    return request


def decode_generate(message: inference_pb2.GenerateRequest) -> tuple[str | list[int], SamplingParams, bool]:
    """The prompt, its parameters, and whether the answer comes in one piece."""
    params = decode_sampling(message.params)
    kind = message.WhichOneof("prompt")
    if kind == "text":
        return check_text("prompt", message.text), params, message.in_one_piece
    if kind == "token_ids":
        return check_token_ids("prompt", message.token_ids.ids), params, message.in_one_piece
    raise UsageError("prompt: there is none; give a text or token ids")


def encode_events(events: Sequence[TokenEvent]) -> Iterator[inference_pb2.GenerateEvents]:
    """Messages with the events in order; one that has reached PART_BYTES gets no further event."""
    message, size_bytes = inference_pb2.GenerateEvents(), 0
    for event in events:
        if size_bytes >= limits.PART_BYTES:
            yield message
            message, size_bytes = inference_pb2.GenerateEvents(), 0
        size_bytes += _add_event(message, event).ByteSize() + _EVENT_HEADER_BYTES
    if message.events:
        yield message


def decode_events(message: inference_pb2.GenerateEvents) -> list[TokenEvent]:
    return [_decode_event(event) for event in message.events]


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


def _add_event(message: inference_pb2.GenerateEvents, event: TokenEvent) -> inference_pb2.TokenEvent:
    """The event, made in its place: one that is made elsewhere would be copied there, for half of the time."""
    timings = None
    if event.timings is not None:
        timings = inference_pb2.Timings(**{name: getattr(event.timings, name) for name in _TIMINGS})
    return message.events.add(
        token=event.token,
        text=event.text,
        logprob=event.logprob,
        top=encode_top(event.top),
        finish_reason=None if event.finish_reason is None else _REASONS[event.finish_reason],
        timings=timings,
    )


def _decode_event(message: inference_pb2.TokenEvent) -> TokenEvent:
    check_length("event.text", message.text, limits.MAX_TEXT_BYTES)
    timings = None
    if message.HasField("timings"):
        timings = Timings(**{name: getattr(message.timings, name) for name in _TIMINGS})
    has_token = message.HasField("token")
    return TokenEvent(
        token=check_range("event.token", message.token, 0, limits.MAX_INT32) if has_token else None,
        text=message.text,
        logprob=message.logprob if message.HasField("logprob") else None,
        top=decode_top(message.top),
        finish_reason=_decode_reason(message.finish_reason),
        timings=timings,
    )


def _decode_reason(number: int) -> FinishReason | None:
    if number == inference_pb2.FINISH_REASON_UNSPECIFIED:
        return None
    if number not in _REASON_OF_NUMBER:
        raise UsageError(f"event.finish_reason: {number} is unknown; run the same version on both ends")
    return _REASON_OF_NUMBER[number]
