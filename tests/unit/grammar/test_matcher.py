"""Which tokens may follow: against what the grammars say, token by token."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from cluster.api.errors import ClusterError, UsageError
from cluster.grammar import from_json_object, from_schema
from cluster.grammar.matcher import Matcher
from cluster.grammar.vocabulary import GrammarVocabulary
from tests.fakes.spelling import ByteSpelling

SPELLING = ByteSpelling()
VOCABULARY = GrammarVocabulary(SPELLING, SPELLING.num_tokens)
END, TURN, CALL = (SPELLING.token(name) for name in (b"<end>", b"<turn>", b"<call>"))


def allowed(matcher: Matcher, *stops: int, may_end: bool = True) -> set[int]:
    mask = np.zeros(matcher.num_mask_words, np.int32)
    matcher.fill(mask)
    if not may_end:
        matcher.forbid_end(mask, stops)
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    assert not bits[SPELLING.num_tokens :].any()
    return set(np.flatnonzero(bits).tolist())


def taken(matcher: Matcher, text: bytes) -> Matcher:
    for byte in text:
        assert matcher.advance(byte)
    return matcher


def test_what_is_forced_is_spelt_as_the_model_spells_it() -> None:
    for spelling in (SPELLING, ByteSpelling(space_in_front=True)):
        matcher = Matcher.of(GrammarVocabulary(spelling, spelling.num_tokens), 'start: "hello world" | "hello moon"')
        assert allowed(matcher) == {SPELLING.token(b"hello")}


def test_a_long_forced_text_is_not_given_to_the_models_tokenizer() -> None:
    spelling = ByteSpelling()
    matcher = Matcher.of(GrammarVocabulary(spelling, spelling.num_tokens), 'start: "' + "abc" * 2000 + '"')
    before = spelling.num_asked
    assert allowed(matcher) == {spelling.token(b"abc")} and spelling.num_asked == before


def test_special_tokens_are_no_text() -> None:
    """Where a grammar allows any text, it allows no control token; one that names one allows that."""
    free = Matcher.of(VOCABULARY, r"start: /(.|\n)*/")
    assert {SPELLING.token(b"hello"), END, TURN} <= allowed(free) and CALL not in allowed(free)
    spelt = taken(Matcher.of(VOCABULARY, r"start: /(.|\n)*/"), b"<call")
    assert ord(">") in allowed(spelt)
    named = Matcher.of(VOCABULARY, 'start: <call> "ab"')
    assert allowed(named) == {CALL} and named.advance(CALL)


@pytest.mark.parametrize("name", ["<nowhere>", "<[9999]>"])
def test_a_token_that_the_model_has_not_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"^grammar: .+; correct it$"):
        Matcher.of(VOCABULARY, f"start: {name}")


def test_behind_the_end_there_are_end_tokens_only() -> None:
    matcher = taken(Matcher.of(VOCABULARY, 'start: "a" "b"'), b"ab")
    assert matcher.has_ended and allowed(matcher) == {END, TURN} == allowed(matcher, may_end=False)
    assert not matcher.advance(ord("c")) and matcher.advance(END) and matcher.advance(TURN)
    matcher.rewind(1)
    assert allowed(matcher) == {ord("b")}


def test_a_text_that_need_not_end_yet_goes_on() -> None:
    matcher = taken(Matcher.of(VOCABULARY, "start: /[ab]*/"), b"ab")
    assert {END, TURN} <= allowed(matcher)
    assert allowed(matcher, ord("b"), may_end=False) == {ord("a"), SPELLING.token(b"ab")}


def test_what_was_taken_can_be_taken_back_and_again() -> None:
    text = from_schema({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}).text
    matcher = taken(Matcher.of(VOCABULARY, text), b'{"a": "xyz')
    here = allowed(matcher)
    for length in (9, 3, 0):
        taken_back = list(matcher.tokens)
        matcher.rewind(length)
        assert matcher.tokens == taken_back[:length]
        again = matcher.fresh()
        again.replay(taken_back[:length])
        assert allowed(again) == allowed(matcher)
        matcher.replay(taken_back[length:])
        assert allowed(matcher) == here


def test_a_refused_token_changes_nothing() -> None:
    matcher = taken(Matcher.of(VOCABULARY, 'start: "a" /[0-9]/ "b"'), b"a")
    before = allowed(matcher)
    assert not matcher.advance(ord("z")) and allowed(matcher) == before and matcher.tokens == [ord("a")]
    with pytest.raises(ClusterError, match="does not follow"):
        matcher.replay([ord("z")])


def test_one_that_is_too_much_to_follow_says_so_each_time() -> None:
    words = " | ".join(f'"{number:06}"' for number in range(20_000))
    matcher = Matcher.of(VOCABULARY, f"start: {words}")
    for _ in range(2):
        with pytest.raises(ClusterError, match=r"cannot be followed any more .*; make it simpler"):
            matcher.advance(ord("0"))


def test_a_model_without_an_end_is_refused() -> None:
    spelling = ByteSpelling()
    spelling.end_tokens = frozenset()
    with pytest.raises(UsageError, match="no end token"):
        GrammarVocabulary(spelling, spelling.num_tokens)


def test_logits_may_have_more_tokens_than_the_tokenizer() -> None:
    vocabulary = GrammarVocabulary(SPELLING, 320)
    matcher = Matcher.of(vocabulary, r"start: /(.|\n)*/")
    mask = np.zeros(matcher.num_mask_words, np.int32)
    matcher.fill(mask)
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    assert len(bits) == 320 and not bits[SPELLING.num_tokens :].any()


def test_white_space_has_an_end() -> None:
    matcher = taken(Matcher.of(VOCABULARY, from_json_object().text), b"{ \n")
    assert not {ord(" "), ord("\n"), ord("\t")} & allowed(matcher)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_is_drawn_is_a_document(seed: int) -> None:
    """Every allowed token leads somewhere, to the end in the end."""
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": -5, "maximum": 500},
            "é": {"type": "string", "maxLength": 6},
        },
        "required": ["n", "é"],
        "additionalProperties": False,
    }
    chance = random.Random(seed)
    matcher = Matcher.of(VOCABULARY, from_schema(schema).text)
    while not matcher.has_ended:
        assert matcher.advance(chance.choice(sorted(allowed(matcher))))
    document = json.loads(SPELLING.text(matcher.tokens))
    assert set(document) == {"n", "é"} and -5 <= document["n"] <= 500 and len(document["é"]) <= 6


def test_a_text_that_was_begun_goes_on() -> None:
    """However its tokens were cut; and what was drawn behind it can be taken back, and no more."""
    matcher = Matcher.of(VOCABULARY, 'start: "hello world" | "help"')
    begun = matcher.behind("hel")
    assert allowed(begun) == {ord("l"), ord("p")}
    taken(begun, b"lo")
    assert begun.tokens == list(b"lo")
    begun.rewind(0)
    assert allowed(begun) == {ord("l"), ord("p")}
    assert matcher.behind("help").has_ended
    assert allowed(matcher.behind("")) == allowed(matcher)
    assert not matcher.tokens


@pytest.mark.parametrize("prefix", ["hi", "help!", "hel<end>", "he\u00e9"])
def test_a_text_that_was_begun_otherwise_is_refused(prefix: str) -> None:
    matcher = Matcher.of(VOCABULARY, 'start: "hello world" | "help"')
    with pytest.raises(UsageError, match="grammar: it has no text that begins as the answer does"):
        matcher.behind(prefix)
