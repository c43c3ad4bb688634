"""How a user asks for a story, and asks for a change of the last one."""

from __future__ import annotations

import random

from cluster.demo.grammar import Wish
from cluster.demo.template import fill

_ASKS = (
    *("Tell me {}.", "Tell me {}", "tell me {}", "Please tell me {}.", "please tell me {}", "Tell me {}, please."),
    *("Can you tell me {}?", "can you tell me {}?", "Could you tell me {}?", "Will you tell me {}?"),
    *("Write {}.", "Write {}", "write {}", "Write me {}.", "write me {}", "Please write {}.", "Can you write {}?"),
    *("I want {}.", "I want {}", "i want {}", "I would like {}.", "I would like to hear {}.", "Give me {}."),
    *("{}", "{}, please", "{}, please.", "{}!", "Make up {}.", "Do you know {}?", "Hello, tell me {}."),
)
_NOUNS = ("story", "story", "story", "short story", "little story", "tale", "bedtime story")
_ABOUT: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("",),
    ("hero",): (
        *(" about {hero}", " about someone named {hero}", " with a hero named {hero}", " with {hero}"),
        *(" about a hero called {hero}", " whose hero is {hero}", " about {hero}"),
    ),
    ("kind",): (
        *(" about {kind.a}", " about {kind.a}", " with {kind.a}", " with {kind.a} in it"),
        " for kids about {kind.a}",
    ),
    ("hero", "kind"): (
        *(" about {kind.a} named {hero}", " about {kind.a} called {hero}", " about {hero} the {kind}"),
        *(" with {kind.a} named {hero}", " about {hero}, {kind.a}", " about {kind.a} whose name is {hero}"),
    ),
}
_THING_ALONE = (" about {thing.a}", " with {thing.a}", " with {thing.a} in it", " that has {thing.a} in it")
_AND_THING = (" and {thing.a}", " and {thing.a}", " with {thing.a}", " who has {thing.a}", ", with {thing.a} in it")

_CHANGES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("kind",): (
        *("make it about {kind.a}", "make it about {kind.a} instead", "tell it about {kind.a}", "make it {kind.a}"),
        *("make the hero {kind.a}", "turn the hero into {kind.a}", "change the animal to {kind.a}", "use {kind.a}"),
        *("use {kind.a} instead", "let the hero be {kind.a}", "let it be about {kind.a}"),
    ),
    ("hero",): (
        *("call the hero {hero}", "make the hero {hero}", "change the name to {hero}", "name the hero {hero}"),
        *("make it about {hero}", "let the hero be {hero}", "tell it about {hero}", "rename the hero to {hero}"),
        "change the hero to {hero}",
    ),
    ("hero", "kind"): (
        *("make it about {kind.a} named {hero}", "let the hero be {kind.a} named {hero}"),
        *("make it about {hero} the {kind}", "make the hero {kind.a} called {hero}"),
    ),
    ("thing",): (
        *("make it about {thing.a}", "use {thing.a} instead", "put {thing.a} in it", "change the thing to {thing.a}"),
        *("put {thing.a} in the story", "make it {thing.a}", "tell it with {thing.a}", "use {thing.a}"),
    ),
    ("mood",): (
        *("make it {mood.er}", "make it {mood}", "tell it again, but {mood.er}", "make it a bit {mood.er}"),
        *("make it more {mood}", "make the story {mood.er}", "make it much {mood.er}", "turn it into a {mood} story"),
    ),
}
_WISHES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("kind",): ("the hero is {kind.a}", "it is about {kind.a}", "with {kind.a}", "about {kind.a}"),
    ("hero",): ("the hero is {hero}", "the hero is called {hero}", "it is about {hero}", "with {hero}", "about {hero}"),
    ("hero", "kind"): ("the hero is {kind.a} named {hero}", "about {kind.a} named {hero}"),
    ("thing",): ("with {thing.a}", "it is about {thing.a}", "with {thing.a} in it", "about {thing.a}"),
    ("mood",): ("{mood.er}", "a {mood} one", "a {mood.er} one"),
}
_CHANGE_FORMS = (
    *("{}", "{}", "{}.", "{}, please", "{}, please.", "please {}", "please {}.", "now {}", "now {}.", "can you {}?"),
    *("could you {}?", "ok, now {}", "and now {}", "{} now", "I want you to {}"),
)
_WISH_FORMS = ("now {}", "now {}.", "now {}, please", "and now {}", "the same, but {}", "again, but now {}")
_MORE = (
    *("another one", "Another one, please", "Another story", "another story, please", "Tell me another story."),
    *("Tell me another one", "One more", "one more story, please", "A new story, please.", "Again!", "Yes, please"),
)
_KNOWN = (
    *("Do you know any {}?", "do you know {}?", "Do you have {}?", "Have you got any {}?", "Are there any {}?"),
    *("Do you know {}?", "do you have any {}", "What about {}?", "Are there {}?"),
)
_ACCEPTED = (
    *("Yes, please", "Yes, please.", "yes please", "Yes", "yes", "Yes!", "Please do.", "Yes, tell me", "ok", "Sure!"),
    *("Oh yes!", "Go on"),
)
_TOLD_OF = (
    *("What is it about?", "What was it about?", "what is the story about?", "Who is it about?", "Who was it about?"),
    *("Who is the hero?", "who is the hero", "Who was that about?", "What was the story about?"),
)


def _roles(wish: Wish, *roles: str) -> tuple[str, ...]:
    return tuple(role for role in roles if role in wish)


def _capital(text: str, rng: random.Random) -> str:
    """Most people begin with a capital; the rest leave the text as it is."""
    return text[:1].upper() + text[1:] if rng.random() < 0.6 else text


def _subject(wish: Wish, rng: random.Random) -> str:
    """Of hero, kind and thing, as a template."""
    subject = rng.choice(_ABOUT[_roles(wish, "hero", "kind")])
    if "thing" in wish:
        subject += rng.choice(_AND_THING if subject else _THING_ALONE)
    return subject


def ask(wish: Wish, rng: random.Random) -> str:
    """Asks for a new story that has what ``wish`` names."""
    mood = "{mood} " if "mood" in wish else ""
    story = f"a {mood}{rng.choice(_NOUNS)}{_subject(wish, rng)}"
    return _capital(fill(rng.choice(_ASKS).format(story), dict(wish), rng), rng)


def ask_whether(wish: Wish, rng: random.Random) -> str:
    """Asks whether there are stories that have what ``wish`` names."""
    mood = "{mood} " if "mood" in wish else ""
    asked = rng.choice(_KNOWN).format(f"{mood}stories{_subject(wish, rng)}")
    return _capital(fill(asked, dict(wish), rng), rng)


def offer(wish: Wish) -> str:
    """The answer to ``ask_whether``: all that was asked for, in words of its own."""
    one = "{mood.a} one" if "mood" in wish else "one"
    about = {(): "", ("hero",): " about {hero}", ("kind",): " about {kind.a}"}.get(
        _roles(wish, "hero", "kind"), " about {kind.a} named {hero}"
    )
    thing = " with {thing.a}" if "thing" in wish else ""
    return fill(f"Yes, I know {one}{about}{thing}. Shall I tell it?", dict(wish), random.Random(0))


def accept(rng: random.Random) -> str:
    """Says yes to an offer."""
    return rng.choice(_ACCEPTED)


def ask_what_about(rng: random.Random) -> str:
    """Asks what the last story was about."""
    return rng.choice(_TOLD_OF)


def summary(bindings: Wish) -> str:
    """The answer to ``ask_what_about``, of a story's bindings."""
    return fill("It is about {hero} the {kind}.", dict(bindings), random.Random(0))


def ask_for_more(rng: random.Random) -> str:
    """Asks for another story, whichever."""
    return rng.choice(_MORE)


def ask_for_change(change: Wish, rng: random.Random) -> str:
    """Asks for the last story with ``change``: one role, or hero and kind together."""
    roles = _roles(change, "hero", "kind", "thing", "mood")
    forms, table = (_CHANGE_FORMS, _CHANGES) if rng.random() < 0.7 else (_WISH_FORMS, _WISHES)
    text = rng.choice(forms).format(rng.choice(table[roles]))
    return _capital(fill(text, dict(change), rng), rng)


def ask_for_unknown(word: str, rng: random.Random) -> str:
    """Asks for a story about something that the grammar of stories does not know."""
    article = rng.choice(("", "a ", "a "))
    return _capital(rng.choice(_ASKS).format(f"a {rng.choice(_NOUNS)} about {article}{word}"), rng)
