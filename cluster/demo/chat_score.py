"""Puts a model's chats to the test: are asked things kept, are changes applied, is small talk answered.

The model answers through its own chat template, and a follow-up is asked about the story that it told itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.demo.checker import read_story
from cluster.demo.dialogue import requests
from cluster.demo.dialogue.chats import draw_wish, merged
from cluster.demo.dialogue.smalltalk import TOPICS
from cluster.demo.grammar import NO_WISH, WISHED_ROLES, Wish
from cluster.demo.lexicon import DOMAINS

Message = dict[str, str]
Reply = Callable[[list[Message], int], str]
"""(messages, seed) -> the text of the assistant."""


@dataclass(slots=True)
class Tally:
    """Answers of one sort. ``num_kept``: stories that have all that was asked; ``num_right``: these, where well formed
    too. ``samples`` shows up to three answers that are not right, each with what was asked."""

    num_answers: int = 0
    num_well_formed: int = 0
    num_kept: int = 0
    num_right: int = 0
    missed: dict[str, int] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)

    def add(self, asked: str, answer: str, wish: Wish) -> None:
        reading = read_story(answer)
        misses = reading.misses(wish)
        self.num_answers += 1
        self.num_well_formed += not reading.problems
        self.num_kept += not misses
        self.num_right += not (reading.problems or misses)
        for role in misses:
            self.missed[role] = self.missed.get(role, 0) + 1
        if (misses or reading.problems) and len(self.samples) < 3:
            wrong = ", ".join((*misses, *reading.problems))
            self.samples.append(f"{asked!r} [{wrong}]: {answer}")


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def score_asked(reply: Reply, num_chats: int, seed: int) -> Tally:
    """Stories asked for with one to three things each, in a chat of their own."""
    tally = Tally()
    for index in range(num_chats):
        rng = random.Random(seed + index)
        wish = draw_wish(rng, 1 + index % 3)
        asked = requests.ask(wish, rng)
        tally.add(asked, reply([_user(asked)], seed + index), wish)
    return tally


def score_follow_ups(reply: Reply, num_chats: int, seed: int) -> Tally:
    """A story is asked for with up to two things, then changed in one; the changed story counts."""
    tally = Tally()
    for index in range(num_chats):
        rng = random.Random(seed + index)
        wish = draw_wish(rng, index % 3)
        chat = [_user(requests.ask(wish, rng))]
        chat.append({"role": "assistant", "content": reply(chat, seed + index)})
        change = _change_of(wish, WISHED_ROLES[index % len(WISHED_ROLES)], rng)
        asked = requests.ask_for_change(change, rng)
        tally.add(asked, reply([*chat, _user(asked)], seed + index), merged(wish, change))
    return tally


def _change_of(wish: Wish, role: str, rng: random.Random) -> Wish:
    return {role: rng.choice([value for value in DOMAINS[role] if value != wish.get(role)])}


def score_small_talk(reply: Reply, seed: int) -> tuple[int, int]:
    """(answered as it should be, all): every phrase that the grammar knows, as the first of a chat."""
    outcomes = [
        reply([_user(text[0].upper() + text[1:])], seed).strip() == topic.answer
        for topic in TOPICS.values()
        for text in topic.phrases
    ]
    return sum(outcomes), len(outcomes)


def score_long_chats(reply: Reply, num_chats: int, num_changes: int, seed: int) -> Tally:
    """Chats of ``num_changes`` changes in a row; only the last story counts, with all that is wanted by then."""
    tally = Tally()
    for index in range(num_chats):
        rng = random.Random(seed + index)
        wish: Wish = NO_WISH
        chat = [_user(requests.ask(wish, rng))]
        chat.append({"role": "assistant", "content": reply(chat, seed + index)})
        for turn in range(num_changes):
            change = _change_of(wish, WISHED_ROLES[(index + turn) % len(WISHED_ROLES)], rng)
            wish = merged(wish, change)
            chat.append(_user(requests.ask_for_change(change, rng)))
            chat.append({"role": "assistant", "content": reply(chat, seed + index)})
        tally.add(chat[-2]["content"], chat[-1]["content"], wish)
    return tally
