"""Tokens of texts, in two shapes, and what the server tells of itself."""

from __future__ import annotations

import pytest

from tests.http.serving import Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


@conformance(row=37, client="curl")
def test_tokens_and_back(served: Served) -> None:
    ids = served.post("/tokenize", {"content": "Once upon a time"}).json()["tokens"]
    assert ids
    assert served.post("/detokenize", {"tokens": ids}).json() == {
        "content": "Once upon a time",
        "prompt": "Once upon a time",
    }
    with_pieces = served.post("/tokenize", {"content": "Once upon a time", "with_pieces": True}).json()["tokens"]
    assert [one["id"] for one in with_pieces] == ids
    assert "".join(one["piece"] for one in with_pieces) == "Once upon a time"
    with_special = served.post("/tokenize", {"content": "Once upon a time", "add_special": True}).json()["tokens"]
    assert with_special[-len(ids) :] == ids
    assert len(with_special) > len(ids)


def test_a_piece_that_is_no_text_is_its_bytes(served: Served) -> None:
    pieces = [
        one["piece"]
        for one in served.post("/tokenize", {"content": "\U0001f98a", "with_pieces": True}).json()["tokens"]
    ]
    raw = b"".join(piece.encode() if isinstance(piece, str) else bytes(piece) for piece in pieces)
    assert raw.decode().strip() == "\U0001f98a"
    assert any(isinstance(piece, list) for piece in pieces)


@conformance(row=37, client="curl")
def test_tokens_as_vllm_has_them(served: Served) -> None:
    found = served.post("/tokenize", {"prompt": "Once", "return_token_strs": True}).json()
    assert found["count"] == len(found["tokens"]) == len(found["token_strs"])
    assert found["max_model_len"] == 512
    assert served.post("/tokenize", {"content": "Once", "add_special": True}).json()["tokens"] == found["tokens"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {"content": 5}, "content"),
        ("/tokenize", {"content": "a", "add_special": "yes"}, "add_special"),
        ("/detokenize", {"tokens": ["a"]}, "tokens"),
        ("/detokenize", {"tokens": [10**12]}, "tokens"),
        ("/detokenize", {"tokens": 5}, "tokens"),
        ("/detokenize", {"tokens": [99999]}, "tokens"),
    ],
)
def test_wrong_values(served: Served, path: str, body: object, param: str) -> None:
    answer = served.post(path, body)
    assert answer.status == 400, answer.content
    assert (answer.json()["error"]["param"] or "").startswith(param)


@conformance(row=39, client="curl")
def test_properties(served: Served) -> None:
    props = served.get("/props").json()
    assert props["total_slots"] == 4
    assert props["default_generation_settings"]["n_ctx"] == 512
    assert props["default_generation_settings"]["params"]["temperature"] == pytest.approx(0.8)
    assert props["bos_token"]
    assert "/" not in props["model_path"]
    assert served.post("/props", {}).status == 501
    assert served.post("/infill", {}).json()["error"]["type"] == "not_supported_error"
