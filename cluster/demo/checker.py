"""Says whether a story is well formed: reads it against the grammar, agreement between sentences included.

The story is parsed sentence by sentence along every plot in every mood, and a role that was named once (hero,
lost thing, friend, place ...) must keep its value, its pronouns and its article to the end. What is reported is
where the furthest reading stopped, and why.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from cluster.demo.lexicon import DOMAINS
from cluster.demo.plots import PLOTS, steps_of
from cluster.demo.plots.moods import MOODS
from cluster.demo.plots.shared import Step
from cluster.demo.template import Bindings, Slot, inflect, match, parse_template

_SENTENCE_END = re.compile(r'[.!?]"?$')
_FIRST_SENTENCE = re.compile(r'.*?[.!?]"?(?= |$)', re.DOTALL)


@dataclass(slots=True)
class _Furthest:
    """Where the readings of one story stopped: the furthest end, what was expected there, and the roles until
    then."""

    end: int = 0
    roles: Bindings = field(default_factory=dict)
    expected: list[tuple[str, Bindings]] = field(default_factory=list)
    is_complete: bool = False

    def reached(self, end: int, roles: Bindings) -> None:
        if end > self.end:
            self.end, self.expected, self.is_complete = end, [], False
            self.roles = roles

    def stopped(self, end: int, expected: list[tuple[str, Bindings]], is_complete: bool = False) -> None:
        if end == self.end:
            self.expected += expected
            self.is_complete |= is_complete


@dataclass(frozen=True, slots=True)
class Reading:
    """``problems`` is empty where the grammar can write this story. ``roles`` are the values that were read, the
    mood among them ("" for none); of an ill-formed story, those before the first problem."""

    problems: tuple[str, ...]
    roles: Bindings

    def misses(self, wish: Bindings) -> tuple[str, ...]:
        """The roles of ``wish`` that the story has not, or has with another value."""
        return tuple(role for role, value in wish.items() if self.roles.get(role) != value)


def check_story(text: str) -> list[str]:
    """The violations in ``text`` (without an end mark); empty where the grammar can write this story."""
    return list(read_story(text).problems)


def read_story(text: str) -> Reading:
    """Reads ``text`` (without an end mark) along every plot in every mood."""
    text = text.strip()
    furthest = _Furthest()
    for plot, mood in itertools.product(PLOTS, ("", *DOMAINS["mood"])):
        if _read(steps_of(plot, mood), 0, text, 0, {"mood": mood}, furthest):
            return Reading((), furthest.roles)
    return Reading(tuple(dict.fromkeys(_explain(text, furthest))), furthest.roles)


def _read(steps: tuple[Step, ...], index: int, text: str, start: int, bindings: Bindings, furthest: _Furthest) -> bool:
    """Whether ``text[start:]`` is exactly the rest of the plot from step ``index`` on."""
    furthest.reached(start, bindings)
    if index == len(steps):
        furthest.stopped(start, [], is_complete=True)
        return start == len(text)
    if "" in steps[index] and _read(steps, index + 1, text, start, bindings, furthest):
        return True
    for end, bound in _sentences(steps[index], text, start, bindings):
        if _read(steps, index + 1, text, end, bound, furthest):
            return True
    furthest.stopped(start, [(template, bindings) for template in steps[index] if template])
    return False


def _sentences(step: Step, text: str, start: int, bindings: Bindings) -> Iterator[tuple[int, Bindings]]:
    """Every way to read one sentence of ``step`` at ``start``, the space before it included."""
    begin = start
    if start:
        if not text.startswith(" ", start):
            return
        begin = start + 1
    for template in step:
        if template:
            for end, bound in match(template, text, begin, bindings):
                if end == len(text) or text[end] == " ":
                    yield end, bound


def _explain(text: str, furthest: _Furthest) -> Iterator[str]:
    rest = text[furthest.end :].lstrip()
    if not rest:
        yield "cut off: the story stops before its end"
    elif furthest.is_complete:
        yield f"goes on after its end: {_quote(rest)}"
    elif disagreements := list(_disagreements(rest, furthest)):
        # The reading with the fewest disagreements is the likeliest intention.
        yield from min(disagreements, key=len)
    elif not _SENTENCE_END.search(rest) and not _FIRST_SENTENCE.match(rest):
        yield f"cut off: the last sentence is not finished: {_quote(rest)}"
    elif any(_loose(template)[0].match(rest) for template in _all_templates()):
        yield f"out of place: {_quote(rest)}"
    else:
        yield f"not a sentence of the grammar: {_quote(rest)}"


def _disagreements(rest: str, furthest: _Furthest) -> Iterator[list[str]]:
    """For each expected sentence that ``rest`` begins with, whatever its roles: what does not agree."""
    for template, bindings in furthest.expected:
        pattern, slots = _loose(template)
        if not (found := pattern.match(rest)):
            continue
        written = tuple(zip(slots, found.groups(), strict=True))
        yield [
            f"does not agree: {words!r} for {slot.role} {bindings[slot.role]!r} in {_quote(rest)}"
            for slot, words in written
            if slot.role in bindings and words != inflect(slot, bindings[slot.role])
        ] or [_misfit(written, rest)]


def _misfit(written: Sequence[tuple[Slot, str]], rest: str) -> str:
    """Each word agrees with what was said before, but two of them not with each other."""
    pairs = ", ".join(f"{slot} {words!r}" for slot, words in written)
    return f"does not fit together: {pairs} in {_quote(rest)}"


@cache
def _loose(template: str) -> tuple[re.Pattern[str], tuple[Slot, ...]]:
    """A pattern of the template in which each slot may have any value of its role."""
    pieces = parse_template(template)
    pattern = "".join(re.escape(piece) if isinstance(piece, str) else _any_value(piece) for piece in pieces)
    return re.compile(pattern + "(?= |$)"), tuple(piece for piece in pieces if isinstance(piece, Slot))


def _any_value(slot: Slot) -> str:
    return f"({'|'.join(sorted({re.escape(inflect(slot, value)) for value in DOMAINS[slot.role]}))})"


@cache
def _all_templates() -> tuple[str, ...]:
    every = (steps_of(plot, mood) for plot, mood in itertools.product(PLOTS, MOODS))
    return tuple({template for steps in every for step in steps for template in step if template})


def _quote(rest: str) -> str:
    found = _FIRST_SENTENCE.match(rest)
    sentence = found.group() if found else rest
    return f'"{sentence[:80]}"'
