"""What templates find in their sandbox, besides what jinja2 has."""

from __future__ import annotations

from datetime import datetime

import pytest

from cluster.chat.templates.environment import make_environment


def rendered(source: str, **variables: object) -> str:
    return make_environment().from_string(source).render(variables)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("{{ x|tojson }}", '{"b": "<ä>\'", "a": [1, null, true]}'),
        ("{{ x|tojson(sort_keys=true, separators=(',', ':')) }}", '{"a":[1,null,true],"b":"<ä>\'"}'),
        ("{{ x.a|tojson(indent=1) }}", "[\n 1,\n null,\n true\n]"),
        ("{{ x.b|tojson(ensure_ascii=true) }}", '"<\\u00e4>\'"'),
        ("{{ [{'k': 1}, {'k': 2}]|map(attribute='k')|tojson }}", "[1, 2]"),
        ("{{ ('{\"k\": [1]}'|from_json).k[0] }}", "1"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}a{% if true %}b{% endif %}{% endgeneration %}c", "abc"),
        ("{% set l = [] %}{% set _ = l.append(1) %}{{ l }}", "[1]"),
        ("  {% if true %}\na\n  {% endif %}\nb\n", "a\nb"),
    ],
)
def test_filters_and_tags(source: str, wanted: str) -> None:
    assert rendered(source, x={"b": "<ä>'", "a": [1, None, True]}) == wanted


def test_the_date_has_no_time_of_day() -> None:
    assert rendered("{{ strftime_now('%Y %H:%M:%S') }}") == f"{datetime.now():%Y} 00:00:00"
