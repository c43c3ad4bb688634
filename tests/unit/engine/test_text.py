"""From token bytes to text: whole characters, stop strings, and the reason why a text ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.results import FinishReason
from cluster.api.sampling import SamplingParams
from cluster.engine.text.finish import finish_before_start
from cluster.engine.text.stream import TextStream
from ggml.sampling.detokenizer import Detokenizer
from ggml.sampling.stop_strings import StopStrings
from tests.fakes.fake_stages import END_TOKEN, NAMES, VOCABULARY, alone, cut, next_token

_BYTES = st.lists(st.one_of(st.binary(max_size=3), st.text(max_size=2).map(lambda text: text.encode(errors="replace"))))
_SHREDS = _BYTES.flatmap(lambda pieces: _shreds(b"".join(pieces)))


def _shreds(whole: bytes) -> st.SearchStrategy[list[bytes]]:
    """The bytes in pieces that are cut anywhere, also inside characters."""
    places = st.lists(st.integers(0, len(whole)), max_size=8).map(sorted)
    return places.map(lambda at: [whole[first:end] for first, end in zip([0, *at], [*at, len(whole)], strict=True)])


@given(_SHREDS)
def test_detokenizer_gives_what_decoding_at_once_gives(shreds: list[bytes]) -> None:
    detokenizer = Detokenizer()
    texts = [detokenizer.push(shred) for shred in shreds]
    assert "".join(texts) + detokenizer.flush() == b"".join(shreds).decode(errors="replace")


def test_detokenizer_emits_a_character_with_its_last_byte() -> None:
    detokenizer = Detokenizer()
    assert [detokenizer.push(bytes([byte])) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]
    assert detokenizer.push(b"\xc3") == ""
    assert detokenizer.push(b"x") == "\ufffdx", "the byte can no longer become a character"
    assert detokenizer.push(b"\xff") == "\ufffd", "the byte never begins a character"


@given(
    st.lists(st.text("ab", max_size=4), max_size=8),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3).map(tuple),
)
def test_stop_strings_cut_before_the_first_that_is_complete(pieces: list[str], stops: tuple[str, ...]) -> None:
    stop, whole = StopStrings(stops), "".join(pieces)
    texts = [stop.push(piece) for piece in pieces]
    assert "".join(texts) + stop.flush() == cut(whole, stops)
    assert (stop.matched is not None) == any(text in whole for text in stops)
    assert stop.matched is None or whole.startswith("".join(texts) + stop.matched)


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1).map(tuple))
def test_stop_strings_hold_back_no_more_than_they_must(whole: str, stops: tuple[str, ...]) -> None:
    stop, shown = StopStrings(stops), ""
    for num_read, char in enumerate(whole, start=1):
        shown += stop.push(char)
        held = whole[len(shown) : num_read]
        if not stop.matched:
            assert not held or any(text.startswith(held) for text in stops)


def test_a_stop_string_over_several_tokens_shows_no_part_of_it() -> None:
    stop = StopStrings(("END.",))
    assert [stop.push(piece) for piece in ("a E", "N", "D", "!", " EN", "D.", "more")] == [
        "a ",
        "",
        "",
        "END!",
        " ",
        "",
        "",
    ]
    assert stop.matched
    assert stop.flush() == ""


def test_the_stop_string_that_is_complete_first_counts_however_the_text_comes() -> None:
    at_once, by_char = StopStrings(("abcd", "bc")), StopStrings(("abcd", "bc"))
    assert at_once.push("abcd") == "a"
    assert "".join(by_char.push(char) for char in "abcd") == "a"


def test_the_longest_tail_that_may_become_a_stop_string_is_held_back() -> None:
    stop = StopStrings(("aab",))
    assert [stop.push(char) for char in "aaab"] == ["", "", "a", ""]
    assert stop.matched


_CONTEXT = 32
_PARAMS = st.builds(
    SamplingParams,
    seed=st.integers(0, 1000),
    max_tokens=st.one_of(st.none(), st.integers(1, 20)),
    stop=st.lists(st.sampled_from(["stop", "top", "ab", "é", "b", " a", "\ufffd", "\ufffda"]), max_size=3),
    ignore_eos=st.booleans(),
    min_tokens=st.integers(0, 6),
    stop_token_ids=st.lists(st.integers(0, VOCABULARY.num_tokens - 1), max_size=2),
    shown_tokens=st.lists(st.sampled_from(list(NAMES)), max_size=2),
)


@given(_PARAMS, st.lists(st.integers(0, VOCABULARY.num_tokens - 1), min_size=1, max_size=_CONTEXT - 1))
def test_text_stream_gives_the_text_that_one_look_at_all_tokens_gives(
    params: SamplingParams, prompt: list[int]
) -> None:
    stream, log, text, reason = TextStream(VOCABULARY, params, len(prompt), _CONTEXT), list(prompt), "", None
    while reason is None:
        log.append(next_token(params.seed or 0, log))
        piece, reason = stream.push(log[-1])
        text += piece
    expected = alone(prompt, params, _CONTEXT)
    if not any("\ufffd" in stop for stop in params.stop):
        assert (log[len(prompt) :], text, reason) == (expected.tokens, expected.text, expected.reason)
    assert params.min_tokens or not any(stop in text for stop in params.stop)
    assert len(log) <= _CONTEXT


def test_an_end_token_adds_no_text_and_flushes_what_was_held() -> None:
    stream = TextStream(VOCABULARY, SamplingParams(stop=("aaa",)), 1, 99)
    token_a = next(token for token in range(99) if VOCABULARY.token_bytes(token) == b"a")
    assert stream.push(token_a) == ("", None)
    assert stream.push(END_TOKEN) == ("a", FinishReason.STOP)


def test_a_stop_token_adds_no_text_and_a_shown_one_its_name() -> None:
    stream = TextStream(VOCABULARY, SamplingParams(stop_token_ids=(1,), shown_tokens=(13,), ignore_eos=True), 1, 99)
    assert [stream.push(13), stream.push(END_TOKEN), stream.push(1)] == [
        ("<mark>", None),
        ("", None),
        ("", FinishReason.STOP),
    ]
    assert stream.stop_string is None


def test_the_stop_string_that_ended_a_text_is_told() -> None:
    stream = TextStream(VOCABULARY, SamplingParams(stop=("x", "top", "op")), 1, 99)
    assert stream.push(next(token for token in range(99) if VOCABULARY.token_bytes(token) == b"stop")) == (
        "s",
        FinishReason.STOP,
    )
    assert stream.stop_string == "top"


@pytest.mark.parametrize(
    ("max_tokens", "num_prompt", "reason"),
    [(0, 4, FinishReason.LENGTH), (None, 8, FinishReason.CONTEXT), (1, 7, None), (None, 7, None)],
)
def test_requests_that_need_no_token_end_before_they_start(
    max_tokens: int | None, num_prompt: int, reason: FinishReason | None
) -> None:
    assert finish_before_start(SamplingParams(max_tokens=max_tokens), num_prompt, 8) is reason
