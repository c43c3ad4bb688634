"""A grammar's text that compiles. The same tools come with each turn of a conversation, so that some are kept."""

from __future__ import annotations

import json
from functools import lru_cache

from cluster.api.errors import UsageError
from cluster.grammar import Grammar, from_lark, from_schema

NUM_KEPT = 32
ANSWER = "answer"  # the name of a grammar within another


@lru_cache(NUM_KEPT)
def compiled(text: str, field: str) -> Grammar:
    """UsageError that names the field if it does not compile."""
    try:
        return from_lark(text)
    except UsageError as error:
        raise UsageError(f"{field}: {str(error).partition(': ')[2]}") from error


@lru_cache(NUM_KEPT)
def checked_schema(schema_json: str, is_strict: bool) -> tuple[str, ...]:
    """What of a response's schema is not enforced. UsageError if that is anything, and it `is_strict`."""
    try:
        return from_schema(json.loads(schema_json), lenient=not is_strict).warnings
    except UsageError as error:
        raise UsageError(f"response_format: {str(error).partition(': ')[2]}") from error


def within(outer: str, answer: str) -> str:
    """A grammar whose rule ``@answer`` is another one, in any of its forms."""
    if answer.lstrip().startswith("{"):
        grammars = json.loads(answer)["grammars"]
        inner = [{**grammars[0], "name": ANSWER}, *grammars[1:]]
    else:
        inner = [{"name": ANSWER, "lark_grammar": answer}]
    return json.dumps({"grammars": [{"lark_grammar": outer}, *inner]})
