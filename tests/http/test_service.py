"""The server itself: where it listens, what it says before there is a cluster, and who may ask."""

from __future__ import annotations

import gzip
import json
import socket

import pytest

from cluster.api.errors import UnreachableError, UsageError
from cluster.http.service import HttpService
from cluster.http.settings import HttpSettings
from cluster.wire.access.endpoint import Endpoint
from tests.fakes.wire_backends import wait_until
from tests.http.serving import Served, asked, serving

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


def test_health(served: Served) -> None:
    for path in ("/health", "/v1/health", "/livez", "/readyz"):
        answer = served.get(path)
        assert (answer.status, answer.json()["status"]) == (200, "ok")
        assert answer.headers["x-request-id"] == answer.headers["request-id"]


@conformance(row=40, client="curl")
def test_before_there_is_a_cluster_it_says_so_and_then_serves(served: Served) -> None:
    """One server, which finds nothing, then a cluster, and then nothing again."""
    is_there = False

    def find() -> Endpoint:
        if not is_there:
            raise UnreachableError("no cluster: none was started here; start one")
        return served.endpoint

    service = HttpService(HttpSettings(port=0), find)
    url = service.start()
    try:
        assert asked(url, "GET", "/livez").status == 200
        for path in ("/health", "/readyz"):
            answer = asked(url, "GET", path)
            assert answer.status == 503
            assert answer.json()["error"] == {"code": 503, "message": "Loading model", "type": "unavailable_error"}
            assert answer.headers["retry-after"]
        answer = asked(url, "POST", "/tokenize", {"content": "Once"})
        assert answer.status == 503
        assert answer.json()["error"]["message"] == "Loading model"
        assert answer.headers["retry-after"]
        is_there = True
        wait_until(lambda: asked(url, "GET", "/health").status == 200, 20)
    finally:
        service.stop()
    with pytest.raises(ConnectionRefusedError):
        asked(url, "GET", "/livez")


def test_a_port_in_use_is_said(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    with pytest.raises(UsageError, match=f"http: nothing can listen at 127.0.0.1:{port} \\(Address already in use\\)"):
        HttpService(HttpSettings(port=port), lambda: served.endpoint).start()


@conformance(row=41, client="curl")
def test_keys_in_three_headers(served: Served) -> None:
    with serving(HttpSettings(port=0), keys=("right-one", "other"), cluster=served) as found:
        url = found.url
        assert asked(url, "GET", "/health").status == 200
        assert asked(url, "GET", "/livez").status == 200
        for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}, {"authorization": "Basic x"}):
            answer = asked(url, "GET", "/v1/models", **headers)
            assert answer.status == 401
            assert answer.json()["error"]["type"] == "authentication_error"
            assert "wrong" not in answer.content.decode()
        for headers in (
            {"authorization": "Bearer right-one"},
            {"authorization": "bearer other"},
            {"x-api-key": "right-one"},
            {"api-key": "other"},
            {"authorization": "Bearer wrong", "x-api-key": "right-one"},
        ):
            assert asked(url, "GET", "/v1/models", **headers).status == 200


def test_what_is_not_served_is_an_error_that_clients_can_read(served: Served) -> None:
    answer = served.post("/models/load", {"model": "other"})  # though there may be models of any name below /models
    assert (answer.status, answer.json()["error"]["code"]) == (501, "not_supported")
    assert "cluster up MODEL" in answer.json()["error"]["message"]
    answer = served.get("/no/such/path")
    assert (answer.status, answer.json()["error"]["type"]) == (404, "not_found_error")
    answer = served.ask("DELETE", "/v1/models")
    assert (answer.status, answer.headers["allow"]) == (405, "HEAD, GET")
    assert served.ask("HEAD", "/v1/models").status == 200
    assert served.ask("HEAD", "/v1/models").content == b""
    assert served.get("/docs").status == served.get("/redoc").status == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{", {}, 400, "no JSON"),
        (b"[]", {}, 400, "no JSON object"),
        (b"\xff\xfe", {}, 400, "no JSON"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", {}, 400, "nested"),
        (b"{" * 5000, {}, 400, "no JSON"),
        (b'{"prompt": 1}' + b" " * (9 << 20), {}, 413, "body: more than"),
        (b"x", {"content-encoding": "br"}, 415, "content-encoding"),
        (b"plain text", {"content-encoding": "gzip"}, 400, "no gzip"),
        (gzip.compress(b"x" * (9 << 20)), {"content-encoding": "gzip"}, 413, "body: more than"),
        (gzip.compress(b"{}" * 50)[:-12], {"content-encoding": "gzip"}, 400, "ends too early"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_bodies_that_are_none(served: Served, body: bytes, headers: dict[str, str], status: int, said: str) -> None:
    answer = served.post("/tokenize", body, **headers)
    assert answer.status == status, answer.content
    assert said in answer.json()["error"]["message"]
    assert served.get("/health").status == 200


def test_a_body_is_json_whatever_its_type_says_and_may_be_compressed(served: Served) -> None:
    plain = served.post("/tokenize", {"content": "Once"}).json()
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert served.post("/tokenize", json.dumps({"content": "Once"}).encode(), **form).json() == plain
    packed = gzip.compress(json.dumps({"content": "Once"}).encode())
    assert served.post("/tokenize", packed, content_encoding="gzip").json() == plain


def test_what_is_no_http_is_refused_in_json(served: Served) -> None:
    host, _, port = served.host.partition(":")
    for sent in (b"HELLO\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"GET /" + b"a" * 40_000):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(sent)
            said = b""
            while part := connection.recv(4096):
                said += part
        assert said.startswith(b"HTTP/1.1 400 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"


def test_pages_of_elsewhere_may_not_ask(served: Served) -> None:
    """Any page that a browser shows can send requests to this machine."""
    assert served.get("/v1/models", origin="https://evil.example").status == 403
    assert served.get("/v1/models", origin="null").status == 403
    assert served.get("/v1/models", host="evil.example:8000").status == 403
    assert served.get("/v1/models", origin=served.url).status == 200
    with serving(HttpSettings(port=0, cors=("https://chat.example",)), cluster=served) as found:
        answer = found.get("/v1/models", origin="https://chat.example")
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://chat.example"
        assert found.get("/v1/models", origin="https://evil.example").status == 403
        asks = {"origin": "https://chat.example", "access-control-request-headers": "authorization"}
        answer = found.ask("OPTIONS", "/v1/chat/completions", **asks)
        assert (answer.status, answer.headers["access-control-allow-headers"]) == (204, "authorization")


def test_a_request_has_a_name(served: Served) -> None:
    assert served.get("/health", x_request_id="my-request-1").headers["x-request-id"] == "my-request-1"
    assert served.get("/health", x_request_id="a b").headers["x-request-id"] != "a b"


@conformance(row=1, client="curl")
def test_models(served: Served) -> None:
    for path in ("/v1/models", "/models"):
        found = served.get(path).json()
        (model,) = found["data"]
        assert found["object"] == "list"
        assert model["object"] == "model"
        assert model["meta"]["n_ctx"] == model["max_model_len"] == 512
        assert model["meta"]["n_vocab"] == 1536
        assert served.get(f"{path}/{model['id']}").json() == model
    assert served.get("/v1/models/no/such").status == 404
    found = served.get("/v1/models", anthropic_version="2023-06-01").json()
    assert (found["data"][0]["type"], found["has_more"]) == ("model", False)
