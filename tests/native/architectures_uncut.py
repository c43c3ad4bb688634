"""Models of more than 8B that are published and not cut, for docs/architectures.md: why, and where libllama says so."""

from __future__ import annotations

HEAD = """## Larger than 8B, and not cut

All other rows of the table that are whole only, or not served, are published in smaller sizes only. Source lines are of
llama.cpp's src/models.
"""

# Architecture, its larger sizes, source, why.
UNCUT = (
    (
        "chameleon",
        "34B",
        "chameleon.cpp:198",
        "tokens of images are kept from being said in the first row of a call only, so that a text would depend on "
        "what is computed beside it",
    ),
    (
        "command-r",
        "104B (Command R+)",
        "command-r.cpp:28",
        "exact only whole, cut with `--allow-rounding`: see above",
    ),
    (
        "rnd1",
        "30B",
        "rnd1.cpp:13, 80",
        "it fills in masked tokens of a text in rounds, attends to all of it, and keeps nothing: no token is the next",
    ),
)
NOT_EVERYWHERE = """Cut at each fourth layer, or each multiple of a key, since kinds of layers repeat by their number:
afmoe, ernie4_5-moe, llama4, smallthinker, smollm3. The last layers of gemma3n and gemma4, which share keys and values,
stay together."""


def uncut_section() -> list[str]:
    """The lines of the section."""
    lines = [HEAD, "| architecture | size | llama.cpp | why |", "|---|---|---|---|"]
    lines += [f"| {name} | {size} | {source} | {why} |" for name, size, source, why in UNCUT]
    return [*lines, "", NOT_EVERYWHERE]
