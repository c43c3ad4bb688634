"""The dialogue grammar: what is asked for is in the story, a change changes that and nothing else, and the checker
sees where it is not so."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace

import pytest

from cluster.demo.chat_score import score_asked, score_follow_ups, score_long_chats, score_small_talk
from cluster.demo.checker import read_story
from cluster.demo.dialogue import requests, smalltalk
from cluster.demo.dialogue.chats import ChatWriter, chats, draw_wish, merged
from cluster.demo.evaluate import Sampling, replies
from cluster.demo.grammar import WISHED_ROLES, Wish, plots_with, retell, tell
from cluster.demo.lexicon import DOMAINS
from cluster.demo.plots import PLOTS
from cluster.demo.template import fits

CHATS = tuple(itertools.islice(chats(5, max_exchanges=6), 300))


@pytest.mark.parametrize("num_roles", range(5))
def test_a_story_has_what_is_wished(num_roles: int) -> None:
    rng = random.Random(num_roles)
    for _ in range(100):
        wish = draw_wish(rng, num_roles)
        reading = read_story(tell(rng, wish).text)
        assert (reading.problems, reading.misses(wish)) == ((), ()), wish


@pytest.mark.parametrize("role", WISHED_ROLES)
def test_another_value_is_missed(role: str) -> None:
    rng = random.Random(3)
    for _ in range(50):
        told = tell(rng, draw_wish(rng, 3))
        other = rng.choice([value for value in DOMAINS[role] if value != told.bindings.get(role)])
        assert read_story(told.text).misses({role: other}) == (role,)


def test_roles_before_a_mistake_are_still_read() -> None:
    told = tell(random.Random(1), {"hero": "Rosa", "kind": "fox", "mood": "sad"})
    reading = read_story(told.text[:-30] + " Purple.")
    assert reading.problems
    assert reading.misses({"hero": "Rosa", "kind": "fox", "mood": "sad"}) == ()


@pytest.mark.parametrize(
    "change",
    [{"kind": "frog"}, {"hero": "Rosa"}, {"hero": "Ben", "kind": "owl"}, {"mood": "scary"}, {"kind": "girl"}],
)
def test_a_change_keeps_all_the_rest(change: Wish) -> None:
    rng = random.Random(8)
    for _ in range(100):
        told = tell(rng)
        again = retell(rng, told, change)
        reading = read_story(again.text)
        assert (reading.problems, reading.misses(change)) == ((), ())
        kept = {role: value for role, value in told.bindings.items() if role not in {"hero", "kind", *change}}
        assert {role: again.bindings[role] for role in kept} == kept
        assert again.plot == told.plot


def test_a_thing_comes_into_a_plot_that_has_one() -> None:
    assert set() < set(plots_with("thing")) < set(PLOTS)
    rng = random.Random(2)
    for _ in range(100):
        again = retell(rng, tell(rng), {"thing": "kite"})
        assert read_story(again.text).misses({"thing": "kite"}) == ()


def test_the_later_of_two_wishes_that_do_not_fit_counts() -> None:
    assert merged({"hero": "Rosa", "mood": "sad"}, {"kind": "boy"}) == {"kind": "boy", "mood": "sad"}
    assert merged({"kind": "girl"}, {"hero": "Tom"}) == {"hero": "Tom"}
    assert merged({"hero": "Rosa"}, {"kind": "frog"}) == {"hero": "Rosa", "kind": "frog"}


def test_every_story_of_a_chat_is_well_formed_and_as_wished() -> None:
    exchanges = [exchange for chat in CHATS for exchange in chat.exchanges]
    told = [exchange for exchange in exchanges if exchange.wish is not None]
    assert len(told) > 300
    for exchange in told:
        reading = read_story(exchange.answer)
        assert (reading.problems, reading.misses(exchange.wish or {})) == ((), ()), exchange
    answers = {exchange.answer for exchange in exchanges if exchange.wish is None}
    offers = {answer for answer in answers if answer.startswith("Yes, I know ")}
    summaries = {answer for answer in answers if answer.startswith("It is about ")}
    known = {topic.answer for topic in smalltalk.TOPICS.values()}
    assert answers - offers - summaries == known | {smalltalk.UNKNOWN_STORY, smalltalk.ANYTHING_ELSE}
    assert min(len(offers), len(summaries)) > 30


def test_an_offer_has_what_was_asked_for_and_is_kept_to() -> None:
    rng = random.Random(7)
    for _ in range(200):
        wish = draw_wish(rng, rng.randrange(5))
        assert all(value in requests.ask_whether(wish, rng) for value in wish.values())
        assert all(value in requests.offer(wish) for value in wish.values())
    assert (
        requests.offer({"kind": "owl", "thing": "kite"}) == "Yes, I know one about an owl with a kite. Shall I tell it?"
    )
    pairs = [pair for chat in CHATS for pair in itertools.pairwise(chat.exchanges)]
    accepted = [after for before, after in pairs if before.answer.startswith("Yes, I know ") and after.wish is not None]
    assert len({exchange.user for exchange in accepted}) > 5


def test_a_summary_is_of_the_story_as_it_was_told_last() -> None:
    for chat in CHATS:
        for before, after in itertools.pairwise(chat.exchanges):
            if before.wish is not None and after.answer.startswith("It is about "):
                roles = read_story(before.answer).roles
                assert after.answer == f"It is about {roles['hero']} the {roles['kind']}."


def test_chats_are_seeded_and_varied() -> None:
    assert tuple(itertools.islice(chats(5, max_exchanges=6), 300)) == CHATS
    assert len({chat.exchanges[0].user for chat in CHATS}) > 200
    assert {bool(chat.system) for chat in CHATS} == {True, False}


def test_a_request_names_what_is_wished() -> None:
    rng = random.Random(4)
    for _ in range(300):
        wish = draw_wish(rng, 1 + rng.randrange(4))
        assert all(value in requests.ask(wish, rng) for value in wish.values())
        role = rng.choice(WISHED_ROLES)
        value = rng.choice(DOMAINS[role])
        assert value[:4] in requests.ask_for_change({role: value}, rng)


def test_a_change_without_a_story_is_refused() -> None:
    with pytest.raises(ValueError, match="ask for one first"):
        ChatWriter(random.Random(0)).change()


def test_unknown_words_are_unknown() -> None:
    rng = random.Random(6)
    words = {smalltalk.unknown_word(rng).lower() for _ in range(3000)}
    known = {value.lower() for role in (*WISHED_ROLES, "friend") for value in DOMAINS[role]}
    assert not words & known


def test_girls_and_boys_have_names_of_their_own() -> None:
    assert fits("Rosa", "girl")
    assert not fits("Rosa", "boy")
    assert fits("Rosa", "frog")


class Teller:
    """Answers as the grammar does, except that it forgets the first ``num_deaf`` wishes."""

    def __init__(self, num_deaf: int) -> None:
        self.num_deaf = num_deaf

    def __call__(self, messages: list[dict[str, str]], seed: int) -> str:
        text = messages[-1]["content"]
        for topic in smalltalk.TOPICS.values():
            if text.lower() in {phrase.lower() for phrase in topic.phrases}:
                return topic.answer
        self.num_deaf -= 1
        if self.num_deaf >= 0:
            return "Once upon a time, nothing."
        words = " ".join(message["content"] for message in messages if message["role"] == "user")
        return tell(random.Random(seed), _latest(words)).text


def _latest(words: str) -> Wish:
    """The value of each role that is named last: enough for requests that name it by its own word."""
    wish: Wish = {}
    for role in ("hero", "kind", "thing", "mood"):
        values = {value: words.rfind(value[:4] if role == "mood" else f" {value}") for value in DOMAINS[role]}
        best = max(values, key=lambda value: values[value])
        if values[best] >= 0:
            wish = merged(wish, {role: best})
    return wish


def test_scores_count_what_is_kept() -> None:
    right = score_asked(Teller(0), 30, seed=1)
    assert (right.num_answers, right.num_right, right.num_well_formed, right.missed) == (30, 30, 30, {})
    deaf = score_asked(Teller(10), 30, seed=1)
    assert (deaf.num_right, deaf.num_well_formed) == (20, 20)
    assert sum(deaf.missed.values()) == sum(1 + index % 3 for index in range(10))
    assert len(deaf.samples) == 3


def test_follow_ups_and_long_chats_count_the_last_story() -> None:
    assert score_follow_ups(Teller(0), 24, seed=1).num_answers == 24
    assert score_follow_ups(Teller(99), 12, seed=1).num_right == 0
    assert score_long_chats(Teller(99), 3, 4, seed=1).num_kept == 0


def test_small_talk_is_counted_by_phrase() -> None:
    num_phrases = sum(len(topic.phrases) for topic in smalltalk.TOPICS.values())
    assert score_small_talk(Teller(0), seed=1) == (num_phrases, num_phrases)
    assert score_small_talk(lambda messages, seed: "What?", seed=1) == (0, num_phrases)


def test_a_model_without_a_template_is_one_clear_line() -> None:
    bare = SimpleNamespace(metadata={})
    with pytest.raises(SystemExit, match="no chat template"):
        replies(bare, Sampling())
