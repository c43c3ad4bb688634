"""The story checker: what the grammar writes passes, and each kind of damage is found and named."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable

import pytest

from cluster.demo.checker import check_story
from cluster.demo.grammar import MAX_WORDS, MIN_WORDS, OPENINGS, stories
from cluster.demo.lexicon import BOYS, DOMAINS, GIRLS

STORIES = tuple(itertools.islice(stories(7), 300))
SENTENCE = re.compile(r'[^.!?]+[.!?]"?(?: asked [^.]*\.| said [^.]*\.| called [^.]*\.)?')

LOST = (
    "Once upon a time, there was a gentle fox named Ben. Every day he liked to sing. He never "
    "went anywhere without his pink doll. Early one day, he took the doll to the hill. After a while, "
    "Ben saw that the doll was missing. Ben felt very sad. Soon a curious otter named Gus came along. "
    '"Why are you so sad?" asked Gus. "My doll is gone," he said. "Do not worry, I will help you," said '
    "Gus. They looked near the old well, but the doll was not there. Then they looked under a thorny "
    "bush, and there it was, the doll! Ben hugged Gus and said thank you. After that, Ben and Gus met "
    "every day to play."
)


@pytest.mark.parametrize("seed", range(4))
def test_written_stories_are_well_formed(seed: int) -> None:
    for story in itertools.islice(stories(seed), 200):
        assert check_story(story) == [], story


def test_stories_are_varied_sized_and_seeded() -> None:
    assert len(set(STORIES)) == len(STORIES)
    assert all(MIN_WORDS <= len(story.split()) <= MAX_WORDS for story in STORIES)
    assert all(story.startswith(OPENINGS) for story in STORIES)
    assert tuple(itertools.islice(stories(7), 300)) == STORIES
    assert next(stories(8)) != STORIES[0]


def test_example_is_well_formed() -> None:
    assert check_story(LOST) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("he took the doll", "she took the doll", "'she' for hero 'Ben'"),
        ("without his pink", "without her pink", "'her' for hero 'Ben'"),
        ("saw that the doll", "saw that the kite", "'kite' for thing 'doll'"),
        ("asked Gus", "asked Coco", "'Coco' for friend 'Gus'"),
        ("said Gus", "said Felix", "'Felix' for friend 'Gus'"),
        ("so sad?", "so upset?", "'upset' for sad 'sad'"),
        ("under a thorny bush", "near the old well", "does not fit together"),
        ("a gentle fox", "a gentle girl", "kind 'girl', hero 'Ben'"),
        ("a gentle fox", "a purple fox", "not a sentence"),
        ("Early one day, he took", "Early one day, he took took", "not a sentence"),
        ("to play.", "to play. Ben felt very sad.", "goes on after its end"),
        ("day to play.", "day", "cut off"),
        (" After that, Ben and Gus met every day to play.", "", "cut off"),
        ("Ben felt very sad. ", "", "out of place"),
        ("Ben felt very sad. ", "Ben felt very sad.", "not a sentence"),
        ("gentle fox named Ben", "gentle fox named Tom", "'Ben' for hero 'Tom'"),
    ],
)
def test_one_change_is_found_and_named(old: str, new: str, complaint: str) -> None:
    assert old in LOST
    problems = check_story(LOST.replace(old, new, 1))
    assert problems
    assert complaint in " | ".join(problems)


def _swap_pronoun(story: str, rng: random.Random) -> str | None:
    spots = list(re.finditer(r"\b(he|she|He|She|him|his|His)\b", story))
    if not spots:
        return None
    other = {"he": "she", "she": "he", "He": "She", "She": "He", "him": "her", "his": "her", "His": "Her"}
    spot = rng.choice(spots)
    return story[: spot.start()] + other[spot.group()] + story[spot.end() :]


def _rename_hero(story: str, rng: random.Random) -> str | None:
    """The hero gets another name where the story names the hero last."""
    name = re.findall(r"named (\w+)", story)[0]
    if story.count(name) == 1:
        return None
    head, _, tail = story.rpartition(name)
    return head + rng.choice([other for other in (*GIRLS, *BOYS) if other not in story]) + tail


def _change_thing(story: str, rng: random.Random) -> str | None:
    """Another object where the story names the object last."""
    thing = next((thing for thing in DOMAINS["thing"] if story.count(f" {thing}") > 1), None)
    if thing is None:
        return None
    head, _, tail = story.rpartition(thing)
    return head + rng.choice([other for other in DOMAINS["thing"] if other not in story]) + tail


def _cut_off(story: str, rng: random.Random) -> str | None:
    words = story.split()
    return " ".join(words[: rng.randrange(5, len(words))])


def _swap_sentences(story: str, rng: random.Random) -> str | None:
    sentences = [sentence.strip() for sentence in SENTENCE.findall(story)]
    first = rng.randrange(1, len(sentences) - 1)
    sentences[first], sentences[first + 1] = sentences[first + 1], sentences[first]
    return " ".join(sentences)


@pytest.mark.parametrize(
    ("damage", "least"),
    [
        (_swap_pronoun, 250),
        (_rename_hero, 250),
        (_change_thing, 150),
        (_cut_off, 300),
        (_swap_sentences, 300),
    ],
)
def test_damaged_stories_fail(damage: Callable[[str, random.Random], str | None], least: int) -> None:
    rng = random.Random(3)
    damaged = [story for story in (damage(story, rng) for story in STORIES) if story is not None]
    assert len(damaged) >= least
    assert [story for story in damaged if not check_story(story)] == []


@pytest.mark.parametrize("text", ["", " ", "Once upon a time,", "\x00", "He he he.", "." * 5000])
def test_any_text_gets_an_answer(text: str) -> None:
    assert check_story(text)
