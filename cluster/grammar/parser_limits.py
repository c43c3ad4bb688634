"""How much work one grammar may be: llguidance counts it, in units of its own."""

from __future__ import annotations

from llguidance import LLParserLimits


def parser_limits() -> LLParserLimits:
    """The same for whoever checks a grammar and whoever follows it."""
    return LLParserLimits(
        max_items_in_row=10_000,  # as many alternatives in one place
        max_grammar_size=200_000,  # symbols; a schema of 256 KiB with 6,000 required keys has 60,000
        max_lexer_states=25_000,  # of 1 to 2 KB each, in each of the grammars that a stage keeps
        verbose_errors=False,  # they quote the grammar, and then stand in logs
    )
