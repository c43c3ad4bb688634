"""Documents that follow schemas, from a model that knows nothing of JSON."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from cluster.api.sampling import SamplingParams
from cluster.client.sync import Client
from cluster.grammar import from_json_object, from_schema
from tests.http.grammars.kit import at_once, text_of
from tests.http.grammars.random_schemas import random_schema

AT_ONCE = 8


@pytest.mark.parametrize("first", range(0, 40, AT_ONCE))
def test_every_document_follows_its_schema(client: Client, first: int) -> None:
    check_documents(client, first)


@pytest.mark.slow
def test_five_hundred_documents_follow_their_schemas(client: Client) -> None:
    for first in range(40, 500, AT_ONCE):
        check_documents(client, first)


def test_any_object(client: Client) -> None:
    """There is no end to what such a one may hold, but for the context."""
    params = SamplingParams(grammar=from_json_object().text, seed=3, max_tokens=None, temperature=0.0)
    found = client.generate("{", params)
    if found.finish_reason == "stop":
        assert isinstance(json.loads(found.text), dict)


def check_documents(client: Client, first: int) -> None:
    """Of schemas `first` and those that follow, at once."""
    schemas = [random_schema(seed) for seed in range(first, first + AT_ONCE)]
    params = [
        SamplingParams(grammar=from_schema(schema).text, max_tokens=None, seed=first + number, temperature=0.8)
        for number, schema in enumerate(schemas)
    ]
    for schema, outcome in zip(schemas, at_once(client, ["Once upon a time"] * AT_ONCE, params), strict=True):
        document = json.loads(text_of(outcome))
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(document)
