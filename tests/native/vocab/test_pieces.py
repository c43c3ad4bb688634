"""Texts in pieces: the ids that libllama gives for the whole, but for names that a seam breaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.native.vocabularies import CHAT_NAMES, write_chat_pairs, write_chat_pieces
from worker_native import Vocab

pytestmark = pytest.mark.native

KINDS: dict[str, Callable[[Path], Path]] = {
    "byte pairs": write_chat_pairs,
    "pieces": write_chat_pieces,
    "pieces without a space in front": lambda path: write_chat_pieces(path, space_prefix=False),
    "pieces that strip": lambda path: write_chat_pieces(path, name="phi-3"),
}
PARTS = st.sampled_from((*CHAT_NAMES, "a", " ", " sys", "\n", "<|", "im_start|>", "<", "think>", "ä🙂", "<s>"))
TEXTS = st.lists(PARTS, max_size=8).map("".join)
NAME = re.compile("|".join(map(re.escape, CHAT_NAMES)))


@pytest.fixture(scope="module", params=KINDS)
def vocab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vocab:
    return Vocab(str(KINDS[request.param](tmp_path_factory.mktemp("vocabularies") / "chat.gguf")))


def token_of(vocab: Vocab, name: str) -> int:
    (token,) = (token for token in range(vocab.num_tokens) if vocab.token_bytes(token, True) == name.encode())
    return token


def spelt(vocab: Vocab, tokens: list[int]) -> bytes:
    return b"".join(vocab.token_bytes(token, True) for token in tokens)


@settings(max_examples=60)
@given(text=TEXTS, parse_special=st.booleans(), add_special=st.booleans())
def test_one_piece_is_the_text(vocab: Vocab, text: str, parse_special: bool, add_special: bool) -> None:
    plain = vocab.tokenize(text, add_special, parse_special).tolist()
    assert vocab.tokenize_pieces([(text, parse_special)], add_special).tolist() == plain
    assert vocab.tokenize_pieces([("", True), (text, parse_special), ("", False)], add_special).tolist() == plain


@settings(max_examples=60)
@given(text=TEXTS, add_special=st.booleans())
def test_seams_at_names_change_nothing(vocab: Vocab, text: str, add_special: bool) -> None:
    starts = [0, *(match.start() for match in NAME.finditer(text)), len(text)]
    pieces = [(text[begin:end], True) for begin, end in pairwise(starts)]
    assert vocab.tokenize_pieces(pieces, add_special).tolist() == vocab.tokenize(text, add_special, True).tolist()


@pytest.mark.parametrize("name", CHAT_NAMES)
@pytest.mark.parametrize("flags", [(True, False), (False, False), (True, True)])
def test_a_name_with_a_seam_in_it_is_text(vocab: Vocab, name: str, flags: tuple[bool, bool]) -> None:
    pieces = [("a " + name[0], flags[0]), (name[1:] + " b", flags[1])]
    tokens = vocab.tokenize_pieces(pieces, add_special=False).tolist()
    assert token_of(vocab, name) not in tokens
    assert spelt(vocab, tokens).removeprefix(b" ").decode() == f"a {name} b"
    whole = vocab.tokenize(f"a {name} b", False, True).tolist()
    assert token_of(vocab, name) in whole  # what it would have been


def test_no_space_is_put_where_a_text_goes_on(tmp_path: Path) -> None:
    vocab = Vocab(str(write_chat_pieces(tmp_path / "chat.gguf")))
    tokens = vocab.tokenize_pieces([("a<", True), ("b", False), ("c<|im_end|>d<", True), ("e", False)], False).tolist()
    assert spelt(vocab, tokens).decode() == " a<bc<|im_end|> d<e"
    assert vocab.tokenize_pieces([("a", True)]).tolist() == vocab.tokenize("a").tolist()


def test_what_belongs_around_a_text_stands_there_once(vocab: Vocab) -> None:
    around = vocab.tokenize("").tolist()
    assert vocab.tokenize_pieces([]).tolist() == around
    bare = vocab.tokenize_pieces([("a<", True), ("b", False)], False).tolist()
    assert vocab.tokenize_pieces([("a<", True), ("b", False)]).tolist() == [vocab.bos, *bare]


def test_kinds_are_those_of_the_file(vocab: Vocab) -> None:
    assert [vocab.token_kind(token_of(vocab, name)) for name in CHAT_NAMES] == [3, 3, 4]
    assert vocab.token_kind(token_of(vocab, "im" if vocab.type == 1 else "the")) == 1
    with pytest.raises(ValueError, match="token: "):
        vocab.token_kind(vocab.num_tokens)


def test_pieces_are_checked(vocab: Vocab) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        vocab.tokenize_pieces([("a", True), ("\ud800", False)])
    with pytest.raises(TypeError):
        vocab.tokenize_pieces([("a", 1.5, 2)])  # type: ignore[list-item]
