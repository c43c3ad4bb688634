"""Sentence templates of the story grammar: literal text with slots that are bound to the values of roles.

The same templates are written (``fill``) and read back (``match``), so the generator and the checker cannot
drift apart.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from cluster.demo.lexicon import BOYS, DOMAINS, FEAR_DEED, GIRLS, HE_FRIENDS, MOOD_MORE, PLACE_AT, PRONOUNS

Bindings = Mapping[str, str]

_MASCULINE = frozenset({*BOYS, *HE_FRIENDS, "father", "grandpa"})
_DISTINCT = {"spot": "other_spot", "other_spot": "spot"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a template: the role it names and the form it takes ("" is the plain value)."""

    role: str
    form: str

    def __str__(self) -> str:
        return f"{self.role}.{self.form}" if self.form else self.role


def inflect(slot: Slot, value: str) -> str:
    """How ``value`` is written in ``slot``; a form that the grammar does not have raises KeyError."""
    if not slot.form:
        return value
    if slot.form in PRONOUNS:
        return PRONOUNS[slot.form][value in _MASCULINE]
    if slot.form in {"a", "A"}:
        return f"{slot.form}{'n' if value[0] in 'aeiou' else ''} {value}"
    return {"at": PLACE_AT, "deed": FEAR_DEED, "er": MOOD_MORE}[slot.form][value]


@cache
def parse_template(template: str) -> tuple[str | Slot, ...]:
    """Literals and slots of a template, in order. A bare pronoun is a form of the hero."""
    pieces: list[str | Slot] = []
    for index, piece in enumerate(re.split(r"\{([^}]*)\}", template)):
        if index % 2 == 0:
            if piece:
                pieces.append(piece)
            continue
        role, _, form = piece.partition(".")
        slot = Slot("hero", role) if role in PRONOUNS else Slot(role, form)
        if slot.role not in DOMAINS:
            raise KeyError(f"template {template!r}: no role {slot.role!r}")
        pieces.append(slot)
    return tuple(pieces)


def _is_allowed(role: str, value: str, bindings: Bindings) -> bool:
    if value == bindings.get(_DISTINCT.get(role, "")):
        return False
    return role != "hero" or fits(value, bindings.get("kind", ""))


def fits(hero: str, kind: str) -> bool:
    """Whether a hero of this name may be of this kind: girls and boys have names of their own."""
    names = {"girl": GIRLS, "boy": BOYS}.get(kind)
    return names is None or hero in names


@cache
def _values(role: str, taken: str, kind: str) -> tuple[str, ...]:
    bindings = {_DISTINCT.get(role, ""): taken, "kind": kind}
    return tuple(value for value in DOMAINS[role] if _is_allowed(role, value, bindings))


def candidates(role: str, bindings: Bindings) -> tuple[str, ...]:
    """The values that ``role`` may take: its one value once bound, else all that agree with ``bindings``."""
    if role in bindings:
        return (bindings[role],)
    return _values(role, bindings.get(_DISTINCT.get(role, ""), ""), bindings.get("kind", ""))


def fill(template: str, bindings: dict[str, str], rng: random.Random) -> str:
    """The sentence; roles mentioned for the first time are drawn from ``rng`` and added to ``bindings``."""
    words = []
    for piece in parse_template(template):
        if isinstance(piece, Slot):
            value = rng.choice(candidates(piece.role, bindings))
            bindings[piece.role] = value
            words.append(inflect(piece, value))
        else:
            words.append(piece)
    return "".join(words)


def match(template: str, text: str, start: int, bindings: Bindings) -> Iterator[tuple[int, Bindings]]:
    """Every way to read ``template`` at ``text[start:]``: (end, bindings with the newly named roles)."""
    return _match(parse_template(template), text, start, bindings)


def _match(pieces: tuple[str | Slot, ...], text: str, start: int, bindings: Bindings) -> Iterator[tuple[int, Bindings]]:
    if not pieces:
        yield start, bindings
        return
    head, tail = pieces[0], pieces[1:]
    if isinstance(head, str):
        if text.startswith(head, start):
            yield from _match(tail, text, start + len(head), bindings)
        return
    for value in candidates(head.role, bindings):
        written = inflect(head, value)
        if text.startswith(written, start):
            yield from _match(tail, text, start + len(written), {**bindings, head.role: value})
