"""llama-server's fields for what a text must look like."""

from __future__ import annotations

from cluster.chat.openai_shape import response_format_of, schema_of
from cluster.grammar import from_gbnf, from_json_object, from_schema
from cluster.http.faces.fields import Fields


def grammar_of(fields: Fields) -> str:
    """Of `grammar` (GBNF), `json_schema` or OpenAI's `response_format`; "" where there is none. UsageError. Blocks."""
    grammar, schema = fields.text("grammar"), fields.any("json_schema")
    wanted = response_format_of(fields.any("response_format"))
    if bool(grammar) + (schema is not None) + (wanted.kind != "text") > 1:
        raise fields.wrong("grammar", "there are several of response_format, json_schema and grammar; give one")
    if grammar:
        return from_gbnf(grammar).text
    if schema is not None:
        return from_schema(schema_of(schema, "json_schema"), lenient=True).text
    if wanted.kind == "json_object":
        return from_json_object().text
    return from_schema(wanted.schema or {}, lenient=not wanted.strict).text if wanted.kind == "json_schema" else ""
