"""Grammars beside a sampler: slots that begin, go back, guess ahead, end, and fail by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.api.sampling import SamplingParams
from cluster.messages.step import Float32Array, Int32Array, SlotSampling
from cluster.stage.grammars.compiled import MAX_KEPT, CompiledGrammars
from cluster.stage.grammars.sampler import GrammarSampler
from cluster.stage.model import SLOT_ERRORS, Masks
from tests.fakes.spelling import ByteSpelling

SPELLING = ByteSpelling()
VOCAB = SPELLING.num_tokens
END = SPELLING.token(b"<end>")
PROMPT = list(b"say: ")
NO_LOGITS = np.empty((0, VOCAB), np.float32)


class LargestAllowed:
    """Implements `stage.model.MaskedSampler`: the first token that the mask lets through, and what it was given."""

    def __init__(self) -> None:
        self.masks: list[list[Int32Array | None]] = []
        self.params: dict[int, SamplingParams] = {}
        self.lengths: dict[int, int] = {}

    def set(self, sampling: SlotSampling) -> None:
        self.params[sampling.slot] = sampling.params

    def prepare_slot(self, slot: int, source: int, length: int) -> None:
        self.lengths[slot] = length

    def keep(self, tokens: Int32Array, positions: Int32Array, slots: Int32Array) -> None:
        self.lengths.update(zip(slots.tolist(), (positions + 1).tolist(), strict=True))

    def sample(
        self,
        logits: Float32Array,
        rows: Sequence[int],
        slots: Sequence[int],
        positions: Sequence[int],
        masks: Masks = (),
    ) -> list[Drawn]:
        self.masks.append(list(masks))
        return [Drawn(min(allowed(mask), default=0)) for mask in masks or [None] * len(rows)]


class Drawn:
    """Implements `stage.model.Sample`."""

    logprob, top = -1.0, ()

    def __init__(self, token: int, error: str = "") -> None:
        self.token, self.error = token, error


def allowed(mask: Int32Array | None) -> set[int]:
    if mask is None:
        return set(range(VOCAB))
    return set(np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little")).tolist())


class Slots:
    """A sampler, and what each of its slots holds."""

    def __init__(self) -> None:
        self.inner = LargestAllowed()
        self.compiled = CompiledGrammars(lambda: SPELLING, VOCAB)
        self.sampler = GrammarSampler(self.inner, self.compiled)
        self.held: dict[int, list[int]] = {}

    def begin(self, slot: int, grammar: str, **params: object) -> None:
        """The prompt of a new request, and what it samples with."""
        self.sampler.prepare_slot(slot, slot, 0)
        self.held[slot] = list(PROMPT)
        made = replace(SamplingParams(grammar=grammar, seed=1), **params)
        self.sampler.set(SlotSampling(slot, made, len(PROMPT)))
        self.feed({slot: PROMPT}, 0)

    def feed(self, rows: dict[int, Sequence[int]], first: int) -> None:
        tokens = [token for slot in rows for token in rows[slot]]
        positions = [first + number for slot in rows for number in range(len(rows[slot]))]
        slots = [slot for slot in rows for _ in rows[slot]]
        self.sampler.keep(*(np.array(values, np.int32) for values in (tokens, positions, slots)))

    def draw(self, *slots: int, follows: bool = True) -> list[int | str]:
        """What each slot draws behind all that it holds, which it holds then too. An error is a text."""
        positions = [len(self.held[slot]) - 1 for slot in slots]
        drawn = self.sampler.sample(NO_LOGITS, list(range(len(slots))), slots, positions)
        if follows:
            self.sampler.follow()
        for slot, one in zip(slots, drawn, strict=True):
            if not one.error:
                self.held[slot].append(one.token)
        for slot in slots:
            self.feed({slot: self.held[slot][-1:]}, len(self.held[slot]) - 1)
        return [one.error or one.token for one in drawn]

    def texts(self, slot: int) -> bytes:
        return SPELLING.text(self.held[slot][len(PROMPT) :])

    def behind(self, slot: int, first: int, guesses: Sequence[int], *, is_guessed: bool) -> list[str]:
        """Guesses from position `first` on, sent before what is there was drawn: the errors of their rows."""
        self.feed({slot: guesses}, first)
        positions = [first + number for number in range(len(guesses))]
        drawn = self.sampler.sample(NO_LOGITS, range(len(guesses)), [slot] * len(guesses), positions, is_guessed)
        self.sampler.follow()
        return [one.error for one in drawn]

    def guess(self, slot: int, guesses: Sequence[int]) -> list[int]:
        """The newest token and guesses behind it in one step: what is drawn from each row."""
        first = len(self.held[slot]) - 1
        self.feed({slot: [self.held[slot][-1], *guesses]}, first)
        count = 1 + len(guesses)
        drawn = self.sampler.sample(
            NO_LOGITS, list(range(count)), [slot] * count, [first + number for number in range(count)]
        )
        self.sampler.follow()
        return [one.token for one in drawn]


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots()
    yield made
    made.sampler.close()


@pytest.mark.parametrize("follows", [True, False])
def test_a_slot_writes_what_its_grammar_says_and_ends(slots: Slots, follows: bool) -> None:
    """Whether masks were made ahead or not."""
    slots.begin(0, 'start: "hello" " world" "!"')
    for _ in range(5):
        slots.draw(0, follows=follows)
    assert slots.texts(0) == b"hello world!" and slots.held[0][-2:] == [END, END]


def test_a_slot_goes_on_from_what_its_prompt_ends_with(slots: Slots) -> None:
    """Also when its stage is lost, and another one is told all of it again."""
    slots.begin(0, 'start: "hello" " world" "!"', grammar_prefix="hel")
    for _ in range(4):
        slots.draw(0)
    drawn = slots.texts(0)
    assert drawn.startswith(b"lo world")
    other = Slots()
    other.begin(0, 'start: "hello" " world" "!"', grammar_prefix="hel")
    other.held[0] = list(slots.held[0])
    other.feed({0: other.held[0][len(PROMPT) :]}, len(PROMPT))
    slots.draw(0)
    other.draw(0)
    assert other.held[0] == slots.held[0]
    other.sampler.close()


def test_what_no_grammar_begins_with_is_the_slots_error(slots: Slots) -> None:
    with pytest.raises(UsageError, match="begins as the answer does"):
        slots.begin(0, 'start: "hello"', grammar_prefix="hi")


def test_grammars_and_free_text_beside_each_other(slots: Slots) -> None:
    slots.begin(0, 'start: "ab" "ab"')
    slots.begin(1, "")
    slots.begin(2, 'start: "true"')
    slots.draw(0, 1, 2)
    slots.draw(2, 1, 0)
    assert (slots.texts(0), slots.texts(2)) == (b"abab", b"true")
    assert [mask is None for mask in slots.inner.masks[0]] == [False, True, False]


def test_free_text_alone_has_no_masks(slots: Slots) -> None:
    slots.begin(0, 'start: "ab"')
    slots.begin(1, "")
    slots.draw(1)
    assert slots.inner.masks == [[]]


def test_a_new_request_has_its_own_grammar_or_none(slots: Slots) -> None:
    slots.begin(0, 'start: "ab"')
    slots.draw(0)
    slots.begin(0, 'start: "true" "ab"')
    slots.draw(0)
    assert slots.texts(0) == b"true"
    slots.begin(0, "")
    slots.draw(0)
    assert slots.inner.masks[-1] == []


def test_a_slot_that_begins_as_another_one_has_not_its_grammar(slots: Slots) -> None:
    slots.begin(0, 'start: "ab"')
    slots.begin(1, 'start: "true"')
    slots.sampler.prepare_slot(1, 0, 3)
    slots.sampler.sample(NO_LOGITS, [0], [1], [2])
    assert slots.inner.masks[-1] == []


def test_guesses_are_judged_as_the_rows_before_them_say(slots: Slots) -> None:
    """Right ones are kept; behind a wrong one nothing counts, and the text goes on as without it."""
    a, b = b"ab"
    slots.begin(0, "start: /a(b|c)a(b|c)a/")
    assert slots.draw(0) == [a]
    assert slots.guess(0, [b, a]) == [b, a, b]
    slots.held[0] += [b, a, b]
    drawn = slots.guess(0, [a, a])
    assert drawn[:2] == [a, END]  # the second guess is wrong: behind the first one the text has ended
    slots.held[0] += [a]
    slots.sampler.prepare_slot(0, 0, len(slots.held[0]))
    slots.feed({0: [a]}, len(slots.held[0]) - 1)
    assert slots.draw(0) == [END]
    assert slots.texts(0) == b"ababa"


def test_a_guess_that_no_grammar_allows_gets_no_mask(slots: Slots) -> None:
    slots.begin(0, "start: /[a-c]{3}x/")
    slots.draw(0)
    slots.guess(0, [ord("!"), ord("a")])
    first, *behind = slots.inner.masks[-1]
    assert first is not None and behind == [None, None]
    slots.held[0].append(ord("a"))
    slots.feed({0: [ord("a")]}, len(slots.held[0]) - 1)
    slots.draw(0)
    assert slots.texts(0) in (b"aaa", b"aaab", b"aaabc")


def test_guesses_that_turn_out_wrong_are_taken_back(slots: Slots) -> None:
    """A guess that the grammar allows, but that was not drawn."""
    slots.begin(0, "start: /(ax|bb)+y/")
    slots.draw(0)
    drawn = slots.guess(0, [ord("x"), ord("b"), ord("b")])
    assert drawn[0] == ord("x") and drawn[1] == ord("a")
    slots.held[0] += [ord("x"), ord("a")]
    slots.feed({0: [ord("a")]}, len(slots.held[0]) - 1)
    assert slots.draw(0) == [ord("x")]


@pytest.mark.parametrize(
    ("params", "text"),
    [({}, b""), ({"min_tokens": 2}, b"aa"), ({"ignore_eos": True}, b"aaaaa"), ({"stop_token_ids": (ord("a"),)}, b"")],
    ids=str,
)
def test_when_a_text_ends_that_could_go_on(slots: Slots, params: dict[str, object], text: bytes) -> None:
    """The sampler takes the least token, so an end token of the least number ends it as soon as it may."""
    spelling = ByteSpelling()
    spelling.end_tokens = frozenset({1})
    sampler = GrammarSampler(LargestAllowed(), CompiledGrammars(lambda: spelling, VOCAB))
    slots.sampler = sampler
    slots.begin(0, "start: /a*/", **params)
    for _ in range(5):
        slots.draw(0)
    found = slots.held[0][len(PROMPT) :]
    assert bytes(token for token in found if token != 1) == text
    sampler.close()


def test_the_end_of_a_grammar_is_the_end(slots: Slots) -> None:
    """Whatever else was asked for: the sampler that draws knows of no least length."""
    slots.begin(0, 'start: "ab"', ignore_eos=True, min_tokens=50)
    slots.draw(0)
    assert slots.draw(0) == [END] and slots.inner.params[0].min_tokens == 0


def test_a_grammar_that_cannot_be_used_is_the_slots_error(slots: Slots) -> None:
    with pytest.raises(UsageError, match="grammar: "):
        slots.begin(0, "start: nowhere")
    slots.begin(0, "")
    slots.draw(0)


def test_a_grammar_that_gets_too_much_to_follow_fails_its_slot_only(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.begin(0, "start: /[ab]+/")
    slots.begin(1, 'start: "ab" "ab"')
    slots.draw(0, 1)
    slots.sampler._wait()
    broken = slots.sampler._by_slot[0]
    monkeypatch.setattr(broken, "_mask_length", -1)

    def fill(mask: Int32Array) -> None:
        raise ClusterError("grammar: it cannot be followed any more (too many states); make it simpler")

    monkeypatch.setattr(broken._matcher, "fill", fill)
    failed, drawn = slots.draw(0, 1)
    assert "too many states" in str(failed) and drawn == SPELLING.token(b"ab")
    assert "start: /[ab]+/" not in slots.compiled._kept


def test_a_text_that_does_not_follow_is_never_gone_on_with(slots: Slots) -> None:
    """A slot that holds what was not drawn under its grammar fails, and draws nothing at random."""
    slots.begin(0, 'start: "ab" "ab"')
    slots.draw(0)
    slots.sampler._wait()
    slots.held[0][-1] = ord("z")
    slots.feed({0: [ord("z")]}, len(slots.held[0]) - 1)
    (error,) = slots.draw(0)
    assert "does not fit" in str(error)


def test_a_vocabulary_that_cannot_be_got_is_the_slots_error() -> None:
    """And not the stage's, as any other error of ours would be."""

    def unreachable() -> ByteSpelling:
        raise UnreachableError("https://example.org: no answer; try again")

    sampler = GrammarSampler(LargestAllowed(), CompiledGrammars(unreachable, VOCAB))
    with pytest.raises(SLOT_ERRORS, match="no answer"):
        sampler.set(SlotSampling(0, SamplingParams(grammar='start: "a"', seed=1), 1))
    sampler.close()


def test_a_model_without_text_has_no_grammars() -> None:
    with pytest.raises(UsageError, match="no text"):
        CompiledGrammars(None, VOCAB).matcher('start: "a"')


def test_the_latest_grammars_are_kept() -> None:
    compiled = CompiledGrammars(lambda: SPELLING, VOCAB)
    for number in range(MAX_KEPT + 5):
        compiled.matcher(f'start: "{number}"')
    assert len(compiled._kept) == MAX_KEPT and 'start: "4"' not in compiled._kept


@pytest.mark.parametrize("guess", [b"z", b"l", b"e"])
@pytest.mark.parametrize("num_right", [0, 1])
def test_guesses_behind_a_wrong_one_change_nothing(slots: Slots, guess: bytes, num_right: int) -> None:
    """Whether the grammar would allow them there or not."""
    slots.begin(0, 'start: "hello" " world" "!"')
    slots.draw(0)
    right = slots.guess(0, [])[0]
    guesses = [right if num_right else SPELLING.token(b"z")]
    (drawn, _) = slots.guess(0, guesses)
    assert drawn == right
    first = len(slots.held[0]) + 1
    token = SPELLING.token(guess)
    assert slots.behind(0, first, [token, token], is_guessed=True) == ["", ""]
    slots.held[0].append(right)
    slots.feed({0: [right]}, first - 1)
    for _ in range(20):
        slots.draw(0)
    assert slots.texts(0) == b"hello world!"


def test_a_first_row_that_is_no_guess_has_to_follow_the_grammar(slots: Slots) -> None:
    slots.begin(0, 'start: "hello" " world" "!"')
    slots.draw(0)
    assert "report a bug" in slots.behind(0, len(slots.held[0]), [SPELLING.token(b"z")], is_guessed=False)[0]
