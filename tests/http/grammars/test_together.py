"""Grammars beside each other and beside free text: nobody's text depends on who else asks."""

from __future__ import annotations

import re

import pytest

from cluster.api.results import Completion
from cluster.api.sampling import SamplingParams
from cluster.client.sync import Client
from cluster.grammar import from_gbnf, from_lark, from_regex, from_schema
from cluster.grammar.schema import schema_text
from tests.http.grammars.kit import at_once, text_of
from tests.http.grammars.random_schemas import random_schema

CALL = {
    "type": "object",
    "properties": {
        "name": {"const": "look"},
        "arguments": {
            "type": "object",
            "properties": {"place": {"type": "string", "maxLength": 12}},
            "required": ["place"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "arguments"],
    "additionalProperties": False,
}
CALLS = f"""
start: text call
text[lazy]: /(.|\\n)*<call>/
call: %json {schema_text(CALL)} "</call>"
"""


def test_eight_grammars_beside_free_text_write_what_they_write_alone(client: Client) -> None:
    grammars = [from_schema(random_schema(seed)).text for seed in range(100, 108)]
    params = [
        SamplingParams(grammar=grammar, max_tokens=48, seed=5, logprobs=2, temperature=0.9)
        for grammar in [*grammars, ""]
    ]
    prompts = [f"The {word} said" for word in ["fox", "bear", "owl", "hen", "cat", "dog", "cow", "pig", "elf"]]
    alone = [client.generate(prompt, one) for prompt, one in zip(prompts, params, strict=True)]
    for _ in range(3):
        for one, together in zip(alone, at_once(client, prompts, params), strict=True):
            assert isinstance(together, Completion), together
            assert (together.text, together.token_ids, together.finish_reason) == (
                one.text,
                one.token_ids,
                one.finish_reason,
            )
            assert together.logprobs == pytest.approx(one.logprobs, abs=1e-4)


def test_log_probabilities_are_those_of_the_model_alone(client: Client) -> None:
    """A grammar that allows one text only: all that is told of it is what the model thinks."""
    params = SamplingParams(temperature=0.0, max_tokens=12, logprobs=3)
    free = client.generate("Once upon a time", params)
    forced = client.generate(
        "Once upon a time", params, grammar=from_regex(re.escape(free.text)).text, max_tokens=len(free.token_ids)
    )
    if forced.token_ids == free.token_ids:  # spelt the same
        assert forced.logprobs == pytest.approx(free.logprobs, abs=1e-5)
    other = client.generate("Once upon a time", params, grammar=from_regex("QZ+").text)
    assert other.logprobs[0] < -3 and max(logprob for _, logprob in other.top_logprobs[0]) > other.logprobs[0]


@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        (from_regex(r"[0-9]{3}-[a-z]{2,5}\n"), r"[0-9]{3}-[a-z]{2,5}\n"),
        (
            from_lark('start: greeting ", " name "!"\ngreeting: "hi" | "ho"\nname: /[A-Z][a-z]{1,6}/'),
            r"h[io], [A-Z][a-z]{1,6}!",
        ),
        (
            from_gbnf('root ::= item (";" item)? \nitem ::= [a-f] [0-9] | "none"'),
            "([a-f][0-9]|none)(;([a-f][0-9]|none))?",
        ),
    ],
    ids=["regex", "lark", "gbnf"],
)
@pytest.mark.parametrize("seed", range(4))
def test_other_kinds_of_grammar(client: Client, grammar: object, pattern: str, seed: int) -> None:
    found = client.generate(
        "She said", SamplingParams(grammar=grammar.text, seed=seed, temperature=1.0, max_tokens=None)
    )  # type: ignore[attr-defined]
    assert re.fullmatch(pattern, text_of(found)), found.text


def test_text_and_then_a_call(client: Client) -> None:
    """As tools have it: free text until a marker, and from there on a schema."""
    forced = CALLS.replace("/(.|\\n)*<call>/", "/[a-z ]{0,20}<call>/")
    for seed in range(4):
        found = client.generate("Look!", SamplingParams(grammar=from_lark(forced).text, seed=seed, max_tokens=None))
        assert re.search(r'<call>\s*\{.*"place"\s*:.*\}</call>$', text_of(found), re.DOTALL), found.text
