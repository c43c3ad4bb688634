"""Bodies through a face, and scripted events through its encoder into the SDK whose API it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anthropic
import httpx2
import openai

from cluster.api.model import ModelInfo, TokenKind, VocabularyTable
from cluster.api.results import FinishReason, Timings
from cluster.chat.events import ChatEvent, End, Started
from cluster.http.faces.face import Encoder, Served
from cluster.http.settings import HttpSettings

MODEL = ModelInfo(
    name="tiny",
    hash="ab" * 32,
    architecture="llama",
    context_length=1024,
    context_length_train=2048,
    hidden_width=64,
    vocab_size=4,
    vocab_type=1,
    num_parameters=7_600_000_000,
    size_bytes=1000,
    file_type="Q8_0",
    bos=1,
    eos=2,
    end_tokens=(2,),
    add_bos=True,
)
VOCABULARY = VocabularyTable((b"<s>", b" hi", b"\xc3", b"</s>"), (TokenKind.NORMAL,) * 4)
SERVED = Served(HttpSettings(), MODEL, VOCABULARY, num_slots=2, alias="demo")
TIMINGS = Timings(
    num_prompt_tokens=12, num_tokens=5, num_cached_tokens=4, queue_ms=1.5, prefill_ms=20.0, decode_ms=30.0
)

STARTED = Started(0, 12, 4)


def end(reason: FinishReason = FinishReason.STOP, **more: Any) -> End:
    return End(0, reason, TIMINGS, **more)


def streamed(encoder: Encoder, events: Sequence[ChatEvent]) -> bytes:
    """What the server would send."""
    return b"".join((encoder.open(), *map(encoder.push, events), encoder.close()))


def events_of(sent: bytes) -> list[dict[str, Any]]:
    """The data of each server-sent event, whose name is its type."""
    found = []
    for block in sent.decode().strip().split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found


def _transport(answer: bytes, content_type: str) -> httpx2.MockTransport:
    return httpx2.MockTransport(
        lambda request: httpx2.Response(200, content=answer, headers={"content-type": content_type})
    )


def openai_client(answer: bytes, content_type: str = "text/event-stream") -> openai.OpenAI:
    """The SDK, to which any request is answered so."""
    client = httpx2.Client(transport=_transport(answer, content_type))
    return openai.OpenAI(base_url="http://test/v1", api_key="k", max_retries=0, http_client=client)


def anthropic_client(answer: bytes, content_type: str = "text/event-stream") -> anthropic.Anthropic:
    """The SDK, to which any request is answered so."""
    client = httpx2.Client(transport=_transport(answer, content_type))
    return anthropic.Anthropic(base_url="http://test", api_key="k", max_retries=0, http_client=client)
