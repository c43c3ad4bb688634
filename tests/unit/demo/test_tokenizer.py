"""The demo tokenizer: round trips, and the same ids as libllama reads from the GGUF that ships."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
from gguf import GGUFReader
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp import Llama

from cluster.demo import model_path
from cluster.demo.grammar import stories
from cluster.demo.tokenizer import BYTE_LETTERS, Tokenizer, split_words, train_merges

TEXTS = (
    "Once upon a time, there was a kind fox named Ivy.",
    '"Thank you, Tom!" said Ivy.',
    "  two  spaces\n\nand lines\t tabs \n",
    "it's they'll we've I'd 'sound",
    "12 345,6 a1b2 x_y",
    "naïve Привет 日本語 🙂 ½ ² ⅷ",
    "a\u00a0b \u3000c",
    " ",
    "",
)


@cache
def shipped() -> Tokenizer:
    """The tokenizer as it stands in the GGUF, read with gguf-py."""
    fields = GGUFReader(model_path()).fields
    merges = fields["tokenizer.ggml.merges"].contents()
    controls = fields["tokenizer.ggml.tokens"].contents()[256 + len(merges) :]
    return Tokenizer(tuple((left, right) for left, right in (merge.split(" ") for merge in merges)), tuple(controls))


@cache
def whole_model() -> Llama:
    return Llama(str(model_path()), vocab_only=True, verbose=False)


@given(st.text())
@settings(max_examples=100)
def test_any_text_round_trips(text: str) -> None:
    assert "".join(split_words(text)) == text
    assert shipped().decode_bytes(shipped().encode(text)).decode() == text


def test_every_byte_is_a_token() -> None:
    assert len(set(BYTE_LETTERS)) == 256
    assert shipped().decode_bytes(range(256)) == bytes(range(256))
    assert shipped().decode_bytes([shipped().bos_id, shipped().eos_id]) == b""


def test_training_merges_frequent_pairs_first() -> None:
    merges = train_merges(["aab aab aab ab"], 3)
    assert merges[0] == ("a", "b")
    assert ("".join(merges[1])) in {"aab", "Ġa"}
    assert len(train_merges(["ab"], 50)) == 1


def test_training_is_deterministic() -> None:
    texts = tuple(itertools.islice(stories(1), 50))
    assert train_merges(texts, 100) == train_merges(texts, 100)


@pytest.mark.parametrize("text", [*TEXTS, *itertools.islice(stories(11), 20)])
def test_libllama_gives_the_same_ids(text: str) -> None:
    expected = whole_model().tokenize(text.encode(), add_bos=False, special=False)
    assert shipped().encode(text) == list(expected)


def test_libllama_knows_the_end_tokens() -> None:
    assert whole_model().token_bos() == shipped().bos_id
    assert whole_model().token_eos() == shipped().eos_id
    assert whole_model().n_vocab() == len(shipped().tokens)
