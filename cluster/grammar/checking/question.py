"""What the compiling process is asked, and what it answers: lines of JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from cluster.api.errors import UsageError
from cluster.grammar.grammar import Grammar

MAX_REASON_CHARS = 300
MAX_WARNINGS = 32

# Asked and answered to see that somebody is there.
ECHO: dict[str, Any] = {"echo": True}


class Form(StrEnum):
    """What a text is."""

    GRAMMAR = "grammar"  # as `Grammar.text`
    REGEX = "regex"
    GBNF = "gbnf"


def question(form: Form, text: str) -> dict[str, Any]:
    return {"form": form.value, "text": text}


def answer_of(compiled: Grammar | UsageError) -> dict[str, Any]:
    """Reasons and warnings may quote the grammar, which is long: they are cut."""
    if isinstance(compiled, UsageError):
        return {"refused": str(compiled)[:MAX_REASON_CHARS]}
    warnings = [warning[:MAX_REASON_CHARS] for warning in compiled.warnings[:MAX_WARNINGS]]
    return {"text": compiled.text, "warnings": warnings}


def compiled_of(answer: dict[str, Any]) -> Grammar | UsageError:
    """What `answer_of` was made of."""
    if "refused" in answer:
        return UsageError(answer["refused"])
    return Grammar(answer["text"], tuple(answer["warnings"]))
