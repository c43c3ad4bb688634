"""Prompts of clients, as text, token ids or segments, across the wire."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.errors import UsageError
from cluster.api.prompt import Segment, Segments
from cluster.api.sampling import SamplingParams
from cluster.wire import limits
from cluster.wire.codec.inference import (
    PromptRequest,
    decode_generate,
    decode_tokenize,
    encode_generate,
    encode_tokenize,
)
from protos import inference_pb2
from tests.unit.wire.test_codecs import PARAMS, TEXTS

SEGMENTS = st.lists(st.builds(Segment, TEXTS, st.booleans()), min_size=1, max_size=5).map(tuple)


@settings(max_examples=40)
@given(TEXTS | st.lists(st.integers(0, 2**31 - 1), max_size=9) | SEGMENTS, PARAMS, st.booleans())
def test_generate_round_trip(prompt: str | list[int] | Segments, params: SamplingParams, add_special: bool) -> None:
    data = encode_generate(prompt, params, add_special=add_special).SerializeToString()
    decoded = decode_generate(inference_pb2.GenerateRequest.FromString(data))
    if isinstance(prompt, list):
        assert decoded == PromptRequest(prompt, params)
        return
    segments = (Segment(prompt),) if isinstance(prompt, str) else prompt
    assert decoded == PromptRequest(segments, params, add_special)


@pytest.mark.parametrize("prompt", ["once", [1, 2]])
def test_a_request_may_have_a_name(prompt: str | list[int]) -> None:
    message = encode_generate(prompt, SamplingParams())
    message.ticket, message.num_received = bytes(range(16)), 7
    decoded = decode_generate(inference_pb2.GenerateRequest.FromString(message.SerializeToString()))
    assert (decoded.ticket, decoded.num_received) == (bytes(range(16)), 7)
    message.ticket = bytes(15)
    with pytest.raises(UsageError, match="ticket: 15 bytes; give 16, or none"):
        decode_generate(message)


def test_tokens_around_a_text_are_added_where_a_request_does_not_say() -> None:
    assert decode_generate(inference_pb2.GenerateRequest(text="a")).add_special


@pytest.mark.parametrize("where", ["generate", "tokenize"])
def test_segments_have_bounds(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = (lambda prompt: encode_generate(prompt, SamplingParams())) if where == "generate" else encode_tokenize
    field = "prompt" if where == "generate" else "text"
    request = encode((Segment("ab"), Segment("cd", True)))
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 1)
    decode = decode_generate if where == "generate" else decode_tokenize
    with pytest.raises(UsageError, match=f"{field}: length 2 is over the limit"):
        decode(request)
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 2)
    monkeypatch.setattr(limits, "MAX_PROMPT_BYTES", 3)
    with pytest.raises(UsageError, match=f"{field}: 4 bytes of text; give at most 3"):
        decode(request)
    with pytest.raises(UsageError, match=f"{field}: not valid Unicode"):
        encode((Segment("a"), Segment("\ud800")))
    with pytest.raises(UsageError, match="parse_special: each segment"):
        encode_generate((Segment("a"),), SamplingParams(), parse_special=True)
