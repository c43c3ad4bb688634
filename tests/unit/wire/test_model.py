"""What is known of the model, and its tokens, across the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.api.errors import UnreachableError, UsageError
from cluster.api.model import TokenKind, VocabularyTable
from cluster.wire import limits
from cluster.wire.codec import model as model_codec
from cluster.wire.codec.model import ModelParts, VocabularyParts, encode_model, encode_vocabulary
from protos import inference_pb2
from tests.fakes.wire_backends import MODEL

TOKENS = st.lists(st.tuples(st.binary(max_size=20), st.sampled_from(list(TokenKind))), min_size=1, max_size=20)


@settings(max_examples=40)
@given(TOKENS, st.sampled_from([1, 20, limits.PART_BYTES]), st.sampled_from([1, 3, limits.MAX_PART_TOKENS]))
def test_vocabulary_round_trip(tokens: list[tuple[bytes, TokenKind]], part_bytes: int, part_tokens: int) -> None:
    """However small the parts are, as long as the longest token fits."""
    table = VocabularyTable(tuple(piece for piece, _ in tokens), tuple(kind for _, kind in tokens))
    part_bytes = max(part_bytes, *map(len, table.pieces), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "PART_BYTES", part_bytes)
        patch.setattr(limits, "MAX_PART_TOKENS", part_tokens)
        data = [message.SerializeToString() for message in encode_vocabulary(table)]
    assert len(data) >= len(tokens) / part_tokens
    parts = VocabularyParts()
    for one in data:
        parts.add(inference_pb2.VocabularyPart.FromString(one))
    assert parts.finish() == table


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (inference_pb2.VocabularyPart(lengths=[3], pieces=b"ab", kinds=b"\1"), "1 tokens of 3 bytes, with 2 bytes"),
        (inference_pb2.VocabularyPart(lengths=[2], pieces=b"ab"), "and 0 kinds"),
        (inference_pb2.VocabularyPart(lengths=[2], pieces=b"ab", kinds=b"\7"), "vocabulary.kinds: 7 is out of range"),
        (inference_pb2.VocabularyPart(lengths=[0] * 9, kinds=b"\1" * 9), "vocabulary.tokens: 9 is out of range"),
        (inference_pb2.VocabularyPart(lengths=[999], pieces=b"a" * 999, kinds=b"\1"), "vocabulary.size: 999 is out"),
    ],
)
def test_a_vocabulary_that_cannot_be(
    part: inference_pb2.VocabularyPart, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_VOCAB", 8)
    monkeypatch.setattr(limits, "MAX_MODEL_BYTES", 800)
    with pytest.raises(UsageError, match=why):
        VocabularyParts().add(part)
    with pytest.raises(UnreachableError, match="before it began"):
        VocabularyParts().finish()


@pytest.mark.parametrize("part_bytes", [1, 60, limits.PART_BYTES])
def test_model_round_trip(part_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PART_BYTES", part_bytes)
    info = replace(MODEL, metadata={f"general.{place}": "x" * place for place in range(20)})
    parts = ModelParts()
    for message in encode_model(info):
        parts.add(inference_pb2.ModelReply.FromString(message.SerializeToString()))
    assert parts.finish() == info


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"chat_templates": {"": "x" * 12}}, "model.chat_templates.value: length 12 is over the limit"),
        ({"chat_templates": {str(place): "" for place in range(3)}}, "model.chat_templates: length 3 is over"),
        ({"metadata": {"a": "x" * 5000}}, "model.metadata.value: length 5000 is over"),
        ({"end_tokens": [-1]}, "model.end_tokens.item: -1 is out of range"),
        ({"name": "x" * 5000}, "model.name: length 5000 is over the limit"),
    ],
)
def test_facts_of_a_model_that_cannot_be(part: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model_codec._MODEL_BOUNDS, "model.chat_templates", (0, 2))
    monkeypatch.setitem(model_codec._MODEL_BOUNDS, "model.chat_templates.value", (0, 11))
    parts = ModelParts()
    parts.add(inference_pb2.ModelReply(**part))
    with pytest.raises(UsageError, match=why):
        parts.finish()
