"""Whole chats: a chain of exchanges in which a story may be asked for, changed and asked for anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from cluster.demo.dialogue import requests, smalltalk
from cluster.demo.grammar import NO_WISH, WISHED_ROLES, Telling, Wish, retell, tell
from cluster.demo.lexicon import DOMAINS
from cluster.demo.template import fits

_NUM_WISHES = (0, 1, 1, 1, 2, 2, 3, 4)
_CHANGES = (("hero",), ("kind",), ("thing",), ("mood",), ("hero", "kind"))
_FIRST = (*("ask",) * 6, *("offer",) * 4, "topic", "topic", "unknown")
_LATER = (
    *("change",) * 10,
    "more",
    *("ask",) * 3,
    *("offer",) * 4,
    *("summary",) * 3,
    *("topic",) * 3,
    "unknown",
)
_ACCEPT_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the user says, a right answer, and, where the answer is a story, what the user wants it to have."""

    user: str
    answer: str
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class Chat:
    """``system`` is "" where there is no system prompt."""

    system: str
    exchanges: tuple[Exchange, ...]


def draw_wish(rng: random.Random, num_roles: int) -> Wish:
    """Values of ``num_roles`` of WISHED_ROLES that fit together."""
    while True:
        wish = {role: rng.choice(DOMAINS[role]) for role in rng.sample(WISHED_ROLES, num_roles)}
        if fits(wish.get("hero", ""), wish.get("kind", "")) or "hero" not in wish:
            return wish


def draw_change(rng: random.Random, told: Telling) -> Wish:
    """Something that ``told`` has not: one role, or hero and kind."""
    while True:
        change = {role: rng.choice(DOMAINS[role]) for role in rng.choice(_CHANGES)}
        is_new = all(told.bindings.get(role) != value for role, value in change.items())
        if is_new and (len(change) == 1 or fits(change["hero"], change["kind"])):
            return change


def merged(wish: Wish, change: Wish) -> Wish:
    """What the user wants after ``change``: the later word counts where both do not go together."""
    both = {**wish, **change}
    if "hero" in both and not fits(both["hero"], both.get("kind", "")):
        del both["hero" if "kind" in change else "kind"]
    return both


class ChatWriter:
    """Writes one chat, exchange by exchange; remembers the last story and what was wanted of it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._told: Telling | None = None
        self._wish: Wish = NO_WISH
        self._offered: Wish | None = None  # in the exchange before

    def next(self) -> Exchange:
        """Whatever comes up: a story, a change of it, a question about it, small talk, something unknown."""
        offered, self._offered = self._offered, None
        if offered is not None and self._rng.random() < _ACCEPT_SHARE:
            return self._tell(requests.accept(self._rng), offered)
        match self._rng.choice(_LATER if self._told else _FIRST):
            case "ask":
                return self.ask(draw_wish(self._rng, self._rng.choice(_NUM_WISHES)))
            case "change":
                return self.change()
            case "offer":
                return self.offer(draw_wish(self._rng, self._rng.choice(_NUM_WISHES)))
            case "summary" if self._told is not None:
                return Exchange(requests.ask_what_about(self._rng), requests.summary(self._told.bindings))
            case "more":
                return self._tell(requests.ask_for_more(self._rng), NO_WISH)
            case "topic":
                topic = self._rng.choice(tuple(smalltalk.TOPICS.values()))
                return Exchange(smalltalk.phrase(topic, self._rng), topic.answer)
            case _:
                return self._unknown()

    def ask(self, wish: Wish) -> Exchange:
        return self._tell(requests.ask(wish, self._rng), wish)

    def offer(self, wish: Wish) -> Exchange:
        """The user asks whether there is such a story, and may say yes next."""
        self._offered = wish
        return Exchange(requests.ask_whether(wish, self._rng), requests.offer(wish))

    def change(self) -> Exchange:
        """A change of the last story. ValueError where there is none."""
        if self._told is None:
            raise ValueError("change: no story was told in this chat; ask for one first")
        change = draw_change(self._rng, self._told)
        self._wish = merged(self._wish, change)
        self._told = retell(self._rng, self._told, change)
        return Exchange(requests.ask_for_change(change, self._rng), self._told.text, self._wish)

    def _tell(self, user: str, wish: Wish) -> Exchange:
        self._wish, self._told = wish, tell(self._rng, wish)
        return Exchange(user, self._told.text, wish)

    def _unknown(self) -> Exchange:
        if self._rng.random() < 0.4:
            word = smalltalk.unknown_word(self._rng)
            return Exchange(requests.ask_for_unknown(word, self._rng), smalltalk.UNKNOWN_STORY)
        return Exchange(smalltalk.unknown_question(self._rng), smalltalk.ANYTHING_ELSE)


def write_chat(rng: random.Random, max_exchanges: int) -> Chat:
    """A chat of one to ``max_exchanges`` exchanges."""
    system = smalltalk.system_prompt(rng) if rng.random() < 0.3 else ""
    writer = ChatWriter(rng)
    return Chat(system, tuple(writer.next() for _ in range(rng.randint(1, max_exchanges))))


def chats(seed: int, max_exchanges: int) -> Iterator[Chat]:
    """An endless stream of chats."""
    rng = random.Random(seed)
    while True:
        yield write_chat(rng, max_exchanges)
