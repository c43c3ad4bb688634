"""Requests for vectors of texts, and the vectors <-> protobuf."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.api.embedding import Pooling
from cluster.api.errors import UsageError
from cluster.api.prompt import Pair, Segment, Segments
from cluster.messages.step import Float32Array
from cluster.wire import limits
from cluster.wire.codec.inference import (
    Prompt,
    check_segments,
    check_text,
    check_token_ids,
    decode_segments,
    without_pictures,
)
from cluster.wire.codec.rows import row_parts
from cluster.wire.limits import check_length, check_range
from protos import inference_pb2

_POOLINGS = {getattr(inference_pb2, f"POOLING_{pooling.name}"): pooling for pooling in Pooling}
_NUMBERS = {pooling: number for number, pooling in _POOLINGS.items()}


Given = Segments | Pair | list[int]


@dataclass(frozen=True, slots=True)
class EmbedAsked:
    """What a client asks for: texts, or their token ids. `pooling`: None is what the model says."""

    inputs: tuple[Given, ...]
    pooling: Pooling | None


def encode_embed(inputs: Sequence[Prompt | Pair], pooling: Pooling | None) -> inference_pb2.EmbedRequest:
    check_length("inputs", inputs, limits.MAX_REQUESTS)
    request = inference_pb2.EmbedRequest()
    if pooling is not None:
        request.pooling = _NUMBERS[pooling]
    for given in inputs:
        one = request.inputs.add()
        if isinstance(given, str):
            one.text = check_text("inputs", given)
        elif isinstance(given, Pair):
            one.pair.query = check_text("query", given.query)
            one.pair.document = check_text("documents", given.document)
            one.pair.SetInParent()
        elif isinstance(given, tuple):
            for segment in check_segments("inputs", given):
                one.segments.segments.add(text=segment.text, parse_special=segment.parse_special)
            one.segments.SetInParent()
        else:
            one.token_ids.ids.extend(check_token_ids("inputs", given))
            one.token_ids.SetInParent()
    return request


def decode_embed(message: inference_pb2.EmbedRequest) -> EmbedAsked:
    """UsageError names what is out of its bounds."""
    check_length("inputs", message.inputs, limits.MAX_REQUESTS)
    if not message.inputs:
        raise UsageError("inputs: there are none; give at least one")
    if message.pooling and message.pooling not in _POOLINGS:
        raise UsageError(f"pooling: {message.pooling} is unknown; run the same version on both ends")
    return EmbedAsked(tuple(map(_input, message.inputs)), _POOLINGS.get(message.pooling))


def encode_embeddings(num_tokens: Sequence[int], vectors: Float32Array) -> Iterator[inference_pb2.EmbedPart]:
    """Messages with vectors [n, E] of texts of so many tokens, split where they would be too long."""
    first = 0
    for part in row_parts(vectors):
        end = first + len(part)
        yield inference_pb2.EmbedPart(
            num_prompt_tokens=num_tokens[first:end], width=vectors.shape[1], vectors=part.tobytes()
        )
        first = end


def decode_embeddings(message: inference_pb2.EmbedPart) -> tuple[list[int], Float32Array]:
    """The numbers of tokens of some texts, and their vectors [n, E], read-only."""
    width = check_range("embeddings.width", message.width, 1, limits.MAX_VOCAB)
    num_tokens = list(message.num_prompt_tokens)
    check_length("embeddings", num_tokens, limits.MAX_REQUESTS)
    if len(message.vectors) != 4 * width * len(num_tokens):
        raise UsageError(
            f"embeddings: {len(message.vectors)} bytes; {len(num_tokens)} vectors of {width} float32 take "
            f"{4 * width * len(num_tokens)}"
        )
    vectors = np.frombuffer(message.vectors, "<f4").reshape(len(num_tokens), width)
    return num_tokens, vectors.astype(np.float32, copy=False)


def _input(message: inference_pb2.EmbedInput) -> Given:
    match message.WhichOneof("prompt"):
        case "text":
            return (Segment(check_text("inputs", message.text)),)
        case "segments":
            return without_pictures("inputs", decode_segments("inputs", message.segments))
        case "pair":
            pair = message.pair
            return Pair(check_text("query", pair.query), check_text("documents", pair.document))
        case "token_ids":
            return check_token_ids("inputs", message.token_ids.ids)
        case _:
            raise UsageError("inputs: one of them is neither text nor token ids; give one of these")
