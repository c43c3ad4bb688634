"""Requests of clients, and logits <-> protobuf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.api.errors import ClusterError, UsageError
from cluster.api.sampling import SamplingParams
from cluster.messages.step import Float32Array
from cluster.wire import limits
from cluster.wire.codec.rows import split_rows
from cluster.wire.codec.sampling import decode_sampling, encode_sampling
from cluster.wire.limits import check_length, check_range
from protos import inference_pb2

Prompt = str | Sequence[int]


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """What a client asks for. `parse_special`: names of control tokens in a text become these tokens."""

    prompt: str | list[int]
    params: SamplingParams
    parse_special: bool = False


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
    prompt: Prompt, params: SamplingParams, parse_special: bool = False
) -> inference_pb2.GenerateRequest:
    if not isinstance(parse_special, bool):
        raise UsageError(f"parse_special: {parse_special!r} is not a boolean; give True or False")
    request = inference_pb2.GenerateRequest(params=encode_sampling(params), parse_special=parse_special)
    if isinstance(prompt, str):
        request.text = check_text("prompt", prompt)
    else:
        request.token_ids.ids.extend(check_token_ids("prompt", prompt))
        request.token_ids.SetInParent()  # an empty list is a prompt too; the coordinator judges it
    return request


def decode_generate(message: inference_pb2.GenerateRequest) -> PromptRequest:
    params = decode_sampling(message.params)
    kind = message.WhichOneof("prompt")
    if kind == "text":
        return PromptRequest(check_text("prompt", message.text), params, message.parse_special)
    if kind == "token_ids":
        return PromptRequest(check_token_ids("prompt", message.token_ids.ids), params)
    raise UsageError("prompt: there is none; give a text or token ids")


def decode_complete(message: inference_pb2.CompleteRequest) -> list[PromptRequest | ClusterError]:
    """As `decode_generate`, for each request; what is wrong with one stands in its place."""
    check_length("requests", message.requests, limits.MAX_REQUESTS)
    return [_request_or_error(request) for request in message.requests]


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


def _request_or_error(message: inference_pb2.GenerateRequest) -> PromptRequest | ClusterError:
    try:
        return decode_generate(message)
    except ClusterError as error:
        return error
