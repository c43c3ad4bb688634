"""All models, in the order of the table."""

from __future__ import annotations

from tests.ggml.zoo.models import Entry, others, text, vision

ENTRIES: list[Entry] = [*others.ENTRIES[:1], *vision.ENTRIES, *text.ENTRIES, *others.ENTRIES[1:]]
