"""Writes short children's stories from a grammar made for this package; the demo model learned from nothing
else.

Deterministic: the same seed gives the same stories on every machine (``random.Random`` is specified).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from cluster.demo.lexicon import DOMAINS
from cluster.demo.plots import PLOTS
from cluster.demo.template import fill

MIN_WORDS = 60
MAX_WORDS = 150
OPENINGS = DOMAINS["opening"]


def _draft(rng: random.Random) -> str:
    bindings: dict[str, str] = {}
    steps = PLOTS[rng.choice(tuple(PLOTS))]
    sentences = (fill(rng.choice(step), bindings, rng) for step in steps)
    return " ".join(sentence for sentence in sentences if sentence)


def write_story(rng: random.Random) -> str:
    """One story of MIN_WORDS to MAX_WORDS words, without an end mark."""
    while True:
        story = _draft(rng)
        if MIN_WORDS <= len(story.split()) <= MAX_WORDS:
            return story


def stories(seed: int) -> Iterator[str]:
    """An endless stream of stories."""
    rng = random.Random(seed)
    while True:
        yield write_story(rng)
