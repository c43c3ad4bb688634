"""From schemas, expressions and other grammars to one that compiles, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster.api.errors import UsageError
from cluster.api.sampling import MAX_GRAMMAR_BYTES
from cluster.api.schema_depth import MAX_SCHEMA_DEPTH
from cluster.grammar import check, from_gbnf, from_json_object, from_lark, from_regex, from_schema
from cluster.grammar.schema import schema_text


def _nested(depth: int) -> dict[str, Any]:
    """A schema of objects and arrays in each other, `depth` of them."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth - 1):
        schema = {"type": "array", "items": schema}
    return schema


def test_what_a_grammar_can_be_made_of() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    for made in (
        from_schema(schema),
        from_schema(True),
        from_json_object(),
        from_regex(r"[a-z]+/\d{2}"),
        from_lark('start: "a" b\nb: /x+/'),
        from_lark('start: "a" <|im_start|>'),  # whether there is such a token is for whoever has the vocabulary
        from_gbnf('root ::= "a" item+\nitem ::= [a-z] | "\\n"'),
    ):
        assert made.warnings == ()
        check(made.text)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"if": {"type": "string"}, "then": {"minLength": 1}}, "if, then"),
        ({"type": "object", "propertyNames": {"pattern": "a"}}, "propertyNames"),
        ({"type": "string", "format": "telephone"}, "telephone"),
        ({"oneOf": [{"type": "string"}, {"type": "string", "minLength": 2}]}, "oneOf"),
    ],
)
def test_what_cannot_be_enforced_is_refused_or_said(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(UsageError, match=f"^schema: it has what cannot be enforced: .*{keyword}"):
        from_schema(schema)
    found = from_schema(schema, lenient=True)
    assert any(keyword in warning for warning in found.warnings)
    check(found.text)


def test_all_that_cannot_be_enforced_is_listed() -> None:
    schema = {"not": {"type": "null"}, "properties": {"a": {"uniqueItems": True}, "b": {"format": "telephone"}}}
    with pytest.raises(UsageError, match=r"not; uniqueItems; .*telephone"):
        from_schema(schema)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "https://example.org/schema.json"}, "refers to another document"),
        ({"$ref": "#/$defs/none"}, "does not exist"),
        ({"type": "text"}, "Invalid type: text"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"enum": []}, "empty"),
        (["a"], "a list; give an object"),
        ({"const": float("nan")}, "no JSON"),
        ({"const": {1, 2}}, "no JSON"),
        (_nested(MAX_SCHEMA_DEPTH + 1), f"more than {MAX_SCHEMA_DEPTH} deep"),
    ],
)
def test_a_schema_that_is_none_is_refused(schema: Any, reason: str) -> None:
    for lenient in (True, False):
        with pytest.raises(UsageError, match=f"^schema: .*{reason}"):
            from_schema(schema, lenient=lenient)


def test_a_schema_that_holds_itself_is_refused() -> None:
    schema: dict[str, Any] = {"type": "array"}
    schema["items"] = schema
    with pytest.raises(UsageError, match="deep"):
        from_schema(schema)


def test_a_schema_of_the_greatest_depth_compiles() -> None:
    check(from_schema(_nested(MAX_SCHEMA_DEPTH)).text)


def test_a_schema_cannot_choose_how_it_is_compiled() -> None:
    schema = {"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True, "whitespace_pattern": " *"}}
    with pytest.raises(UsageError, match="uniqueItems"):
        from_schema(schema)
    assert json.loads(schema_text(schema))["x-guidance"]["whitespace_pattern"] == "[ \\n]{0,2}"


@pytest.mark.parametrize(
    "text",
    ["", "{", "start: nowhere", 'start: "a', "start: /(a/", '{"grammars": []}', '{"grammars": [{"json_schema": 3}]}'],
)
def test_a_grammar_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^grammar: .+; correct it$"):
        check(text)


@pytest.mark.parametrize("text", ['rot ::= "a"', 'root ::= "a" b', 'root ::= "a', "root ::= [a-"])
def test_gbnf_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^grammar: .+; correct it$"):
        from_gbnf(text)


@pytest.mark.parametrize("pattern", ["(a", "a{2,1}", "(?=a)b", r"(a)\1", "*"])
def test_a_regular_expression_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"^grammar: "):
        from_regex(pattern)


def test_a_grammar_that_is_too_long_or_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match=f"at most {MAX_GRAMMAR_BYTES}"):
        check('start: "' + "a" * MAX_GRAMMAR_BYTES + '"')
    with pytest.raises(UsageError, match="lone surrogates"):
        check('start: "\udc80"')
    from_lark('start: "\U0001f40b"')
