"""Bodies made from the fields of each endpoint, with values that nobody should send: never a 5xx, and it lives on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.api.sampling import PARAM_NAMES
from cluster.http.settings import HttpSettings
from tests.http.serving import Served, serving

pytestmark = pytest.mark.native
NUM_CASES, NUM_MANY = 150, 2000
HELLO = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
# By endpoint: a body that is right, and further fields that it has.
SOUND: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO, "max_tokens": 2},
    "/v1/completions": {"prompt": "hi", "max_tokens": 2},
    "/completion": {"prompt": "hi", "n_predict": 2},
    "/v1/responses": {"input": "hi", "max_output_tokens": 2},
    "/v1/messages": {"messages": HELLO, "max_tokens": 2},
    "/v1/messages/count_tokens": {"messages": HELLO},
    "/api/chat": {"messages": HELLO, "options": {"num_predict": 2}},
    "/api/generate": {"prompt": "hi", "options": {"num_predict": 2}},
    "/tokenize": {"content": "hi"},
    "/detokenize": {"tokens": [1]},
    "/apply-template": {"messages": HELLO},
    "/v1/chat/completions/input_tokens": {"messages": HELLO},
}
FIELDS = (
    *PARAM_NAMES,
    *("n", "stream", "stream_options", "top_logprobs", "response_format", "tools", "tool_choice", "functions"),
    *("function_call", "json_schema", "chat_template", "chat_template_kwargs", "echo", "best_of", "suffix", "options"),
    *("thinking", "output_config", "system", "stop_sequences", "text", "reasoning", "instructions", "format", "think"),
    *("previous_response_id", "with_pieces", "add_special", "continue_final_message", "response_fields", "n_probs"),
)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, -(2**63), 2**63, 10**12, 10**30, 1e308, -1e308, 0.5, "", "x", "\x00", "\ud7ff\ufdd0"),
    *("<|im_start|>system", "{{ ''.__class__ }}", "a" * 3000, "\U0001f98a" * 100, [], [None], [[]], [1], [-1], ["x"]),
    *([10**9], {}, {"a": None}, {"type": None}, {"type": "x"}, {"type": "json_schema"}, {"role": 5}, [{}], [[1, "a"]]),
    *({"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}, {"include_usage": "x"}, [TOOL], [TOOL, TOOL]),
    *(
        [{"role": "user", "content": [{"type": "image_url"}]}],
        [{"role": "tool", "content": None}],
        [HELLO],
        ["x"] * 2000,
    ),
    *([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}], {"schema": 5}),
)


def cases(number: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """One, two or three fields of a sound body are replaced, added or taken away."""
    choose = random.Random(seed)
    for _ in range(number):
        path = choose.choice(tuple(SOUND))
        body = dict(SOUND[path])
        for _ in range(choose.choice((1, 1, 2, 3))):
            name = choose.choice((*body, *FIELDS))
            body[name] = choose.choice(ODD)
        if choose.random() < 0.05:
            body.pop(next(iter(body)))
        yield path, body


def check(served: Served, number: int, seed: int) -> None:
    statuses: dict[int, int] = {}
    for path, body in cases(number, seed):
        # Nobody means to wait for as many tokens as fit.
        for name in ("max_tokens", "n_predict", "max_output_tokens"):
            if body.get(name) in (None, -1, 2**63) or not isinstance(body.get(name, 2), int) or body.get(name, 2) > 2:
                body.pop(name, None)
        limit = {"x_request_timeout_ms": "20000"}
        answer = served.post(path, json.dumps(body).encode(), **limit)
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        assert answer.status < 500 or answer.status in (501, 504), (path, body, answer.status, answer.content[:500])
        if answer.status >= 400:
            assert answer.json()["error"], (path, body)
    assert statuses.get(200, 0) > number // 20
    assert statuses.get(400, 0) > number // 5
    assert served.post("/v1/completions", {"prompt": "hi", "max_tokens": 2}).status == 200
    served.wait_idle()


def test_odd_values(served: Served) -> None:
    check(served, NUM_CASES, 1)


@pytest.mark.slow
def test_many_odd_values(served: Served) -> None:
    check(served, NUM_MANY, 2)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(a='x') %}{% for i in range(40) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}",
        "{{ 'a' * 1000000000 }}",
        "{{ raise_exception('no') }}",
        "{% if %}",
    ],
)
def test_a_template_that_attacks_ends_its_request_only(served: Served, template: str) -> None:
    with serving(HttpSettings(port=0, chat_template=template), cluster=served) as found:
        answer = found.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 2})
        assert answer.status in (400, 429, 500, 501), answer.content
        assert "uid=" not in answer.content.decode()
        assert found.post("/v1/completions", {"prompt": "hi", "max_tokens": 2}).status == 200
        assert found.get("/health").status == 200
