"""All models, in the order of the table."""

from __future__ import annotations

from tests.ggml.zoo.library import decoders, encoders, pairs, waves
from tests.ggml.zoo.library import vision as images
from tests.ggml.zoo.models import Entry, graphs, others, text, vision

_OWN = [*others.ENTRIES[:1], *vision.ENTRIES, *text.ENTRIES, *others.ENTRIES[1:], *graphs.ENTRIES]

ENTRIES: list[Entry] = [
    *_OWN, *images.ENTRIES, *encoders.ENTRIES, *decoders.ENTRIES, *pairs.ENTRIES, *waves.ENTRIES
]  # fmt: skip
