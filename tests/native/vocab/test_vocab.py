"""The tokenizer and the devices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import worker_native
from tests.native.conftest import MODELS, ModelFiles
from tests.native.tiny_model import write_model
from worker_native import Vocab


@pytest.fixture(scope="module")
def vocab(model_file: ModelFiles) -> Vocab:
    return Vocab(str(model_file()))


def text_of(vocab: Vocab, tokens: np.ndarray[tuple[int], np.dtype[np.int32]], *, special: bool = False) -> bytes:
    return b"".join(vocab.token_bytes(int(token), special) for token in tokens)


@pytest.mark.parametrize("text", ["", "the", "in the end", "äöü", "日本", "🙂 \x00\x01\n\t", "\uffff", "a" * 100_000])
def test_tokens_spell_the_text(vocab: Vocab, text: str) -> None:
    tokens = vocab.tokenize(text, add_special=False)
    assert tokens.dtype == np.int32
    assert text_of(vocab, tokens) == text.encode()


def test_merges_are_applied(vocab: Vocab) -> None:
    assert vocab.tokenize("the the", add_special=False).tolist() == [257, 258]


def test_special_tokens(vocab: Vocab) -> None:
    assert (vocab.num_tokens, vocab.bos, vocab.eos) == (272, 259, 260)
    assert vocab.end_tokens == frozenset({260})
    assert vocab.special_tokens == frozenset({259, 260, 261})
    assert vocab.tokenize("the").tolist() == [259, 257]


def test_the_longest_token_is_measured_in_bytes_of_text(vocab: Vocab) -> None:
    """The names of control and of unused tokens count: a text may hold them."""
    assert vocab.longest_token_bytes() == len("<unused271>")


def test_special_text_is_parsed_only_on_request(vocab: Vocab) -> None:
    assert vocab.tokenize("<eos>", add_special=False, parse_special=True).tolist() == [260]
    assert 260 not in vocab.tokenize("<eos>", add_special=False)


def test_special_tokens_are_rendered_only_on_request(vocab: Vocab) -> None:
    assert vocab.token_bytes(260) == b""
    assert vocab.token_bytes(260, True) == b"<eos>"


def test_bytes_are_not_decoded(vocab: Vocab) -> None:
    assert {vocab.token_bytes(token) for token in range(256)} == {bytes([b]) for b in range(256)}


def test_a_file_without_tensors_is_enough(tmp_path: Path) -> None:
    path = write_model(tmp_path / "vocab.gguf", MODELS["f32"], vocab_only=True)
    assert Vocab(str(path)).tokenize("the").tolist() == [259, 257]


def test_a_middle_slice_has_no_tokenizer(model_file: ModelFiles) -> None:
    with pytest.raises(ValueError, match="tokenizer"):
        Vocab(str(model_file("q4_0", (1, 3))))


def test_devices_name_the_cpu() -> None:
    (cpu,) = [device for device in worker_native.devices() if device.kind == "cpu"]
    assert cpu.name == "CPU"
    assert cpu.description
    assert 0 < cpu.memory_free_bytes <= cpu.memory_total_bytes


def test_build_names_the_library() -> None:
    assert "llama.cpp" in worker_native.build()
    assert "CPU" in worker_native.build()


@pytest.mark.parametrize("use_extra_bufts", [True, False])
def test_the_self_test_passes_here(use_extra_bufts: bool) -> None:
    worker_native.self_test(use_extra_bufts)
