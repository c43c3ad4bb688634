"""Writes short children's stories from a grammar made for this package; the demo model learned from nothing
else.

Deterministic: the same seed gives the same stories on every machine (``random.Random`` is specified).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from cluster.demo.lexicon import DOMAINS
from cluster.demo.plots import PLOTS, steps_of
from cluster.demo.plots.shared import Step
from cluster.demo.template import Slot, fill, fits, parse_template

MIN_WORDS = 60
MAX_WORDS = 150
OPENINGS = DOMAINS["opening"]
WISHED_ROLES = ("hero", "kind", "thing", "mood")

Wish = Mapping[str, str]
"""What a story must have: values of some of WISHED_ROLES."""

NO_WISH: Wish = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Telling:
    """A story with all that was drawn for it, so that it can be told again with one thing changed."""

    text: str
    plot: str
    bindings: Mapping[str, str]
    templates: Mapping[Step, str]


@cache
def plots_with(role: str) -> tuple[str, ...]:
    """The plots in which every story names ``role``."""
    return tuple(name for name in PLOTS if any(_always_names(step, role) for step in steps_of(name, "")))


def _always_names(step: Step, role: str) -> bool:
    return all(any(isinstance(p, Slot) and p.role == role for p in parse_template(template)) for template in step)


def _write(plot: str, bindings: dict[str, str], templates: Mapping[Step, str], rng: random.Random) -> Telling:
    """Draws what ``bindings`` and ``templates`` leave open."""
    chosen: dict[Step, str] = {}
    sentences: list[str] = []
    for step in steps_of(plot, bindings["mood"]):
        chosen[step] = templates[step] if step in templates else rng.choice(step)
        sentences.append(fill(chosen[step], bindings, rng))
    return Telling(" ".join(filter(None, sentences)), plot, bindings, chosen)


def tell(rng: random.Random, wish: Wish = NO_WISH) -> Telling:
    """A new story of MIN_WORDS to MAX_WORDS words that has what ``wish`` names; hero and kind must fit."""
    plots = plots_with("thing") if "thing" in wish else tuple(PLOTS)
    while True:
        bindings = dict(wish)
        bindings.setdefault("mood", rng.choice(("", *DOMAINS["mood"])))
        if "hero" in bindings and "kind" not in bindings:
            bindings["kind"] = _kind_for(bindings["hero"], rng)
        telling = _write(rng.choice(plots), bindings, {}, rng)
        if MIN_WORDS <= len(telling.text.split()) <= MAX_WORDS:
            return telling


def _kind_for(hero: str, rng: random.Random) -> str:
    return rng.choice(tuple(kind for kind in DOMAINS["kind"] if fits(hero, kind)))


def retell(rng: random.Random, told: Telling, change: Wish) -> Telling:
    """The same story, sentence by sentence, with ``change`` applied.

    A girl who gets the name of a boy is a boy from then on, and a fox that becomes a girl gets a girl's name where
    its own is none. A plot that has no thing gives way to one that has.
    """
    bindings = {**told.bindings, **change}
    if not fits(bindings["hero"], bindings["kind"]):
        if "kind" in change:
            del bindings["hero"]
        else:
            bindings["kind"] = "boy" if bindings["kind"] == "girl" else "girl"
    has_it = "thing" not in change or told.plot in plots_with("thing")
    return _write(told.plot if has_it else rng.choice(plots_with("thing")), bindings, told.templates, rng)


def write_story(rng: random.Random) -> str:
    """One story of MIN_WORDS to MAX_WORDS words, without an end mark."""
    return tell(rng).text


def stories(seed: int) -> Iterator[str]:
    """An endless stream of stories."""
    rng = random.Random(seed)
    while True:
        yield write_story(rng)
