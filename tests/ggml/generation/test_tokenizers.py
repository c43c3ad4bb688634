"""Prompts and texts as strings: with the vocabulary of a GGUF file, and with a ``tokenizer.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import ggml
from ggml import SamplingParams
from ggml.generation.tokenizer import GgufTokenizer, JsonTokenizer
from tests.ggml.generation import models
from tests.native.vocabularies import write_byte_pairs


@pytest.fixture(scope="module")
def program() -> Any:
    return models.program(1)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_byte_pairs(tmp_path_factory.mktemp("vocabulary") / "bytes.gguf", "gpt-2")


@pytest.fixture
def json_file(tmp_path: Path) -> Path:
    """All bytes, as GPT-2 writes them, in the order of the GGUF's vocabulary."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    vocab = GgufTokenizer(write_byte_pairs(tmp_path / "bytes.gguf", "gpt-2"))._vocab
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    byte_of = {letter: tokenizers.decoders.ByteLevel().decode([letter]) for letter in letters}
    names = {vocab.token_bytes(token): token for token in range(256)}
    spelled = {letter: names[text.encode("latin-1")] for letter, text in byte_of.items() if text.isascii()}
    rest = sorted(set(range(256)) - set(spelled.values()))
    spelled |= dict(zip(sorted(set(letters) - set(spelled)), rest, strict=True))
    spelled |= {"th": 256, "the": 257}
    inner = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=spelled, merges=[("t", "h"), ("th", "e")]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def wanting(text: str, tokenizer: Any) -> Any:
    """A processor that makes the model say this text, whatever it would have said."""
    tokens = tokenizer.encode(text)
    tokens = tokens[1:] if tokens[0] == 258 else tokens  # what stands before each text
    spoken: list[int] = []

    def process(before: Any, logits: Any) -> Any:
        forced = np.full_like(logits, -np.inf)
        forced[tokens[len(spoken)] if len(spoken) < len(tokens) else 259] = 0.0
        spoken.append(1)
        return forced

    return process


@pytest.mark.parametrize("kind", ["gguf", "json"])
def test_texts_are_whole_characters_and_end_before_stop_strings(
    kind: str, program: Any, vocabulary: Path, request: pytest.FixtureRequest
) -> None:
    path = vocabulary if kind == "gguf" else request.getfixturevalue("json_file")
    tokenizer = GgufTokenizer(path) if kind == "gguf" else JsonTokenizer(path, frozenset({259}))

    def said(text: str, **changes: Any) -> tuple[list[str], ggml.generation.results.Generation]:
        params = SamplingParams(max_tokens=25, **changes)
        events = list(
            ggml.generate_stream(
                program, ["the t"], params, tokenizer=tokenizer, logits_processors=[wanting(text, tokenizer)]
            )
        )
        from ggml.generation.results import gathered

        return [event.text for event in events], gathered(events)[0]

    texts, whole = said("the end")
    assert (whole.text, whole.finish_reason) == ("the end", "stop")
    assert whole.tokens[-1] == 259
    texts, whole = said("one, two, three", stop=(", t",))
    assert (whole.text, whole.finish_reason) == ("one", "stop")
    if kind == "gguf":  # the letters of the other file stand for other bytes
        texts, whole = said("\u20ac1")
        assert [text for text in texts if text] == ["\u20ac", "1"]
        assert whole.text == "\u20ac1"


def test_end_tokens_follow_the_parameters(program: Any, vocabulary: Path) -> None:
    def tokens(**changes: Any) -> list[int]:
        def end(before: Any, logits: Any) -> Any:
            logits[259] = 50.0
            return logits

        params = SamplingParams(max_tokens=6, seed=1, **changes)
        return ggml.generate(program, ["th"], params, tokenizer=vocabulary, logits_processors=[end])[0].tokens

    assert tokens() == [259]
    assert 259 not in tokens(ignore_eos=True)
    assert len(tokens(ignore_eos=True)) == 6
    assert tokens(min_tokens=3).index(259) == 3


def test_strings_and_ids_are_the_same(program: Any, vocabulary: Path) -> None:
    tokenizer = GgufTokenizer(vocabulary)
    params = SamplingParams(max_tokens=5, seed=2, dry_multiplier=0.8)
    by_text, by_ids = ggml.generate(program, ["the", tokenizer.encode("the")], params, tokenizer=str(vocabulary))
    assert by_text == by_ids
    assert tokenizer.encode("the") == [258, 257]


def test_what_ends_a_text_is_read_beside_a_tokenizer_json(json_file: Path) -> None:
    assert JsonTokenizer(json_file).end_tokens == frozenset()
    json_file.with_name("config.json").write_text(json.dumps({"eos_token_id": 5}))
    assert JsonTokenizer(json_file).end_tokens == {5}
    json_file.with_name("generation_config.json").write_text(json.dumps({"eos_token_id": [7, 9]}))
    assert JsonTokenizer(json_file).end_tokens == {7, 9}
    for damaged in ('{"eos_token_id": "x"}', '{"eos_token_id": [-1]}', "{", "[" * 100_000):
        json_file.with_name("generation_config.json").write_text(damaged)
        with pytest.raises(ggml.FileFormatError, match=r"eos_token_id|no JSON"):
            JsonTokenizer(json_file)


def test_files_that_are_no_tokenizers(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(ggml.FileFormatError, match="tokenizer"):
        ggml.generate(ggml.nn.Identity(), ["x"], tokenizer=tmp_path / "tokenizer.json")
    ggml.save({"a": ggml.ones(3)}, tmp_path / "state.gguf")
    with pytest.raises(ggml.FileFormatError, match=r"tokenizer\.ggml"):
        ggml.generate(ggml.nn.Identity(), ["x"], tokenizer=tmp_path / "state.gguf")
    with pytest.raises(FileNotFoundError):
        ggml.generate(ggml.nn.Identity(), ["x"], tokenizer=tmp_path / "none.gguf")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    with pytest.raises(ggml.FileFormatError):
        ggml.generate(ggml.nn.Identity(), ["x"], tokenizer=tmp_path / "broken.gguf")
