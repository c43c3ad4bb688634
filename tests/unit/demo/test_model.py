"""The model that ships: its header, and that the text it writes is stories."""

from __future__ import annotations

import re
from functools import cache

import pytest
from gguf import GGMLQuantizationType, GGUFReader, TokenType

from cluster.demo import evaluate, model_path
from cluster.demo.chat_score import score_asked, score_follow_ups
from cluster.demo.evaluate import Sampling, load_whole, replies, score, write_stories
from cluster.demo.grammar import stories

MAX_FILE_BYTES = 6_000_000


@cache
def header() -> GGUFReader:
    return GGUFReader(model_path())


def value(key: str) -> object:
    return header().fields[key].contents()


def test_file_is_a_small_llama_of_eight_layers() -> None:
    assert model_path().stat().st_size <= MAX_FILE_BYTES
    assert value("general.architecture") == "llama"
    assert value("general.license") == "MIT"
    assert value("llama.block_count") == 8
    assert value("llama.context_length") == 4096
    names = {tensor.name for tensor in header().tensors}
    assert {name.split(".")[1] for name in names if name.startswith("blk.")} == {str(i) for i in range(8)}


def test_matrices_are_q8_0_and_norms_f32() -> None:
    for tensor in header().tensors:
        is_matrix = len(tensor.shape) > 1
        assert tensor.tensor_type == (GGMLQuantizationType.Q8_0 if is_matrix else GGMLQuantizationType.F32)


def test_tokenizer_keys_agree_in_length() -> None:
    tokens, kinds = value("tokenizer.ggml.tokens"), value("tokenizer.ggml.token_type")
    assert isinstance(tokens, list)
    assert isinstance(kinds, list)
    assert len(tokens) == len(kinds) == len(set(tokens)) == value("llama.vocab_size")


def test_many_stories_it_writes_are_well_formed() -> None:
    """A small sample, and a floor for it: 19 in 20 of a large one are well formed, as the card says."""
    result = score(write_stories(load_whole(model_path(), num_threads=1), 20, Sampling(), seed=5))
    assert result.num_distinct == 20
    assert result.num_well_formed >= 16, result


def test_chats_hold_what_was_asked() -> None:
    """Small samples, and floors well below what the card says of large ones."""
    answer = replies(load_whole(model_path(), num_threads=1, n_ctx=2048), Sampling())
    asked = score_asked(answer, 16, seed=5)
    assert asked.num_kept >= 14, asked
    assert asked.num_right >= 12, asked
    changed = score_follow_ups(answer, 8, seed=5)
    assert changed.num_kept >= 6, changed


def test_small_talk_gets_its_answer() -> None:
    answer = replies(load_whole(model_path(), num_threads=1, n_ctx=2048), Sampling(temp=0.0))
    said = [answer([{"role": "user", "content": text}], 1) for text in ("hello", "thank you")]
    assert said[0].startswith("Hello!")
    assert said[1].startswith("You are welcome")


def test_the_file_says_how_to_chat() -> None:
    template = value("tokenizer.chat_template")
    assert isinstance(template, str)
    tokens, kinds = value("tokenizer.ggml.tokens"), value("tokenizer.ggml.token_type")
    assert isinstance(tokens, list)
    assert isinstance(kinds, list)
    for marker in ("<|im_start|>", "<|im_end|>"):
        assert marker in template
        assert kinds[tokens.index(marker)] == TokenType.CONTROL
    assert value("tokenizer.ggml.eot_token_id") == tokens.index("<|im_end|>")


def test_the_same_seed_writes_the_same_story() -> None:
    model = load_whole(model_path(), num_threads=1)
    first, again, other = (next(write_stories(model, 1, Sampling(), seed)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_score_counts_kinds_of_violations() -> None:
    good = next(stories(3))
    result = score(iter([good, good, good[:-20], "Not a story."]))
    assert (result.num_stories, result.num_well_formed, result.num_distinct) == (4, 2, 3)
    assert result.share == 0.5
    assert sum(result.violations.values()) == 2
    assert set(result.samples) == set(result.violations)


def test_missing_model_is_one_clear_line() -> None:
    with pytest.raises(SystemExit, match=re.escape("no-such.gguf: no such file")):
        evaluate.load_whole(model_path().with_name("no-such.gguf"))


def test_card_quotes_the_measured_share() -> None:
    card = model_path().with_name("CARD.md").read_text()
    assert re.search(r"temperature 0\.8.*\d+ of \d+", card)
    assert f"{model_path().stat().st_size:,} bytes" in card
