"""From what callers write to a grammar that compiles.

All of these block until another process has compiled it: milliseconds for most, two seconds at most but for a busy
machine. UsageError if it does not compile or takes too long, CapacityError if too many wait.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cluster.api.errors import UsageError
from cluster.grammar.checking.checker import shared_checker
from cluster.grammar.checking.question import Form
from cluster.grammar.grammar import Grammar
from cluster.grammar.schema import schema_text


def from_schema(schema: Mapping[str, Any] | bool, *, lenient: bool = False) -> Grammar:
    """JSON that follows the schema. What cannot be enforced is a UsageError, or a warning if it is `lenient`."""
    try:
        found = shared_checker().compile(Form.GRAMMAR, _of_schema(schema, lenient=True))
    except UsageError as error:  # the caller has given no grammar
        raise UsageError(f"schema: {str(error).partition(': ')[2]}") from error
    if not found.warnings:
        return Grammar(_of_schema(schema, lenient=False))
    if not lenient:
        raise UsageError(
            f"schema: it has what cannot be enforced: {'; '.join(found.warnings)}; leave that out, or do not ask for "
            "strict adherence"
        )
    return found


def from_json_object() -> Grammar:
    """Any JSON object."""
    return Grammar(_of_schema({"type": "object"}, lenient=False))


def from_regex(pattern: str) -> Grammar:
    """A text that the whole of a regular expression describes: Rust's syntax, without looking around."""
    return shared_checker().compile(Form.REGEX, pattern)


def from_lark(text: str) -> Grammar:
    """llguidance's kind of Lark."""
    return shared_checker().compile(Form.GRAMMAR, text)


def from_gbnf(text: str) -> Grammar:
    """llama.cpp's grammars."""
    return shared_checker().compile(Form.GBNF, text)


def check(text: str) -> None:
    """UsageError if a grammar's text does not compile."""
    shared_checker().compile(Form.GRAMMAR, text)


def _of_schema(schema: Mapping[str, Any] | bool, *, lenient: bool) -> str:
    return json.dumps({"grammars": [{"json_schema": json.loads(schema_text(schema, lenient=lenient))}]})
