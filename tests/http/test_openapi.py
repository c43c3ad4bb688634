"""The document of the endpoints: all of them are in it, with the fields that they read."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import schemathesis

from cluster.http.faces.fields import Fields
from cluster.http.faces.ollama.generate import REFUSED as GENERATE_REFUSED
from cluster.http.faces.responses.face import REFUSED as RESPONSES_REFUSED
from cluster.http.settings import HttpSettings
from tests.http.serving import Served, asked, serving

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance
HELLO = [{"role": "user", "content": "hi"}]
# A body from which the endpoint reads all that it knows; of the names of a limit it reads up to the one that is there.
READ: dict[str, tuple[dict[str, Any], ...]] = {
    "/chat/completions": ({"messages": HELLO, "n_predict": 1},),
    "/completions": ({"prompt": "hi", "n_predict": 1},),
    "/completion": ({"prompt": "hi", "max_tokens": 1},),
    "/responses": ({"input": "hi", "max_output_tokens": 1},),
    "/messages": ({"messages": HELLO, "max_tokens": 1},),
    "/api/chat": ({"messages": HELLO, "options": {"num_predict": 1}},),
    "/api/generate": (
        {"prompt": "hi", "options": {"num_predict": 1}},
        {"prompt": "hi", "raw": True, "options": {"num_predict": 1}},
    ),
    "/embeddings": ({"input": "hi"},),
    "/api/embed": ({"input": "hi"},),
    "/api/embeddings": ({"prompt": "hi"},),
    "/rerank": ({"query": "a", "documents": ["b"]}, {"query": "a", "texts": ["b"]}),
    "/apply-template": ({"messages": HELLO, "n_predict": 1},),
    "/detokenize": ({"tokens": [1]},),
}
# What is looked at only to be refused, and what a request with the same body has, but this one does not look at.
REFUSED = {
    "/chat/completions": {"chat_template"},
    "/apply-template": {"chat_template"},
    "/completions": {"suffix"},
    "/responses": set(RESPONSES_REFUSED),
    "/api/generate": set(GENERATE_REFUSED),
}
ELSEWHERE = {
    "/apply-template": {
        *("stream", "logprobs", "top_logprobs", "stream_options", "timings_per_token", "return_progress"),
    }
}


def described(served: Served) -> Any:
    answer = served.get("/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


def test_it_is_a_document_that_programs_read(served: Served) -> None:
    document = described(served)
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids)) > 60


def test_every_endpoint_is_in_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the router has them."""
    from cluster.http import app

    seen: list[tuple[str, set[str]]] = []
    route = app.Route

    def spy(path: str, by_method: Any) -> Any:
        seen.append((path, set(by_method._apps) - {"HEAD"}))
        return route(path, by_method)

    monkeypatch.setattr(app, "Route", spy)
    with serving(HttpSettings(port=0, page=False), cluster=served) as found:
        paths = described(found)["paths"]
    assert len(seen) > 60
    assert {(path.replace(":path}", "}"), method.lower()) for path, methods in seen for method in methods} == {
        (path, method) for path, methods in paths.items() for method in methods
    }


@pytest.mark.parametrize("path", READ)
def test_its_fields_are_those_that_are_read(served: Served, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = described(served)["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    read: set[str] = set()
    any_of, skip = Fields.any, Fields.skip

    def reads(self: Fields, name: str) -> Any:
        if self.name_of(name) == name:
            read.add(name)
        return any_of(self, name)

    def skips(self: Fields, *names: str) -> None:
        if self.name_of("") == "":
            read.update(names)
        skip(self, *names)

    monkeypatch.setattr(Fields, "any", reads)
    monkeypatch.setattr(Fields, "skip", skips)
    for body in READ[path]:
        assert served.post(path, body).status in (200, 501)
    if path == "/messages":  # where the form of the answer may be in two places
        read.add("output_format")
    assert read - REFUSED.get(path, set()) == set(schema["properties"]) - ELSEWHERE.get(path, set())


def test_it_needs_the_key_and_says_so(served: Served) -> None:
    with serving(HttpSettings(port=0), keys=("right",), cluster=served) as found:
        assert asked(found.url, "GET", "/openapi.json").status == 401
        document = described(found)
        assert {"bearer": []} in document["security"]
        assert document["paths"]["/livez"]["get"]["security"] == []
    assert "security" not in described(served)


@pytest.mark.parametrize(
    ("path", "has"),
    [("/v1/messages", {"type", "error", "request_id"}), ("/api/chat", {"error"}), ("/props", {"error"})],
)
@conformance(row=41, client="curl")
def test_who_may_not_ask_is_told_in_the_form_of_the_api(served: Served, path: str, has: set[str]) -> None:
    with serving(HttpSettings(port=0), keys=("right",), cluster=served) as found:
        for answer in (asked(found.url, "POST", path, {}), found.ask("PUT", path)):
            assert answer.status in (401, 405)
            assert set(answer.json()) == has
            assert isinstance(answer.json()["error"], str) == (path == "/api/chat")
