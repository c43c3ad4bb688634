"""Pictures in chats, as each of the APIs has them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.client.sync import Client
from cluster.http.settings import HttpSettings
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, png, write_projector
from tests.http.serving import Served, serving

pytestmark = pytest.mark.native

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
NUM_TOKENS = 6
PICTURE = png()
BASE64 = base64.b64encode(PICTURE).decode()
URL = f"data:image/png;base64,{BASE64}"


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("seeing")
    model = write_tiny(folder / "model.gguf", TinyModel("llama", chat_template=TEMPLATE))
    projector = write_projector(folder / "mmproj.gguf", TinyProjector())
    with serving(HttpSettings(port=0), model=str(model), context_length=128, mmproj=str(projector)) as served:
        yield served


def openai(*parts: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": list(parts)}]
    return {"messages": messages, "temperature": 0, "max_tokens": NUM_TOKENS, "ignore_eos": True}


def image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def expected(served: Served, *parts: Any) -> str:
    """What the client of our own is answered, which was compared with mtmd."""
    with Client(served.endpoint) as client:
        answer = client.chat(
            [{"role": "user", "content": list(parts)}], temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True
        )
    return answer.content


def test_openai_has_them_as_parts(seeing: Served) -> None:
    body = openai(text("see"), image_url(URL), text("what?"))
    answer = seeing.post("/v1/chat/completions", body).json()
    content = expected(seeing, text("see"), {"type": "image", "image": PICTURE}, text("what?"))
    assert answer["choices"][0]["message"]["content"] == content
    assert answer["usage"]["prompt_tokens"] > TinyProjector().num_rows
    other = expected(seeing, text("see"), {"type": "image", "image": png(seed=3)}, text("what?"))
    assert content != other


def test_ollama_has_them_in_front_of_the_text(seeing: Served) -> None:
    options = {"temperature": 0, "num_predict": NUM_TOKENS, "ignore_eos": True}
    message = {"role": "user", "content": "what?", "images": [BASE64]}
    answer = seeing.post("/api/chat", {"messages": [message], "stream": False, "options": options}).json()
    assert answer["message"]["content"] == expected(seeing, image_url(URL), text("what?"))


def test_anthropic_has_them_as_blocks(seeing: Served) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": BASE64}
    content = [{"type": "image", "source": source}, text("what?")]
    body = {"model": "m", "messages": [{"role": "user", "content": content}], "temperature": 0}
    answer = seeing.post("/v1/messages", {**body, "max_tokens": NUM_TOKENS, "ignore_eos": True}).json()
    assert answer["content"][0]["text"] == expected(seeing, image_url(URL), text("what?"))


def test_ollama_has_them_in_front_of_a_prompt(seeing: Served) -> None:
    options = {"temperature": 0, "num_predict": NUM_TOKENS, "ignore_eos": True}
    body = {"prompt": "what?", "images": [BASE64], "stream": False, "options": options}
    answer = seeing.post("/api/generate", body).json()
    assert answer["response"] == expected(seeing, image_url(URL), text("what?"))
    assert seeing.post("/api/generate", {**body, "raw": True}).status == 400
    assert seeing.post("/api/generate", {**body, "images": ["@@"]}).status == 400


def test_responses_have_them_as_parts_and_remember_them(seeing: Served) -> None:
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": URL, "detail": "auto"},
        {"type": "input_text", "text": "what?"},
    ]
    body = {"temperature": 0, "max_output_tokens": NUM_TOKENS, "ignore_eos": True}
    first = seeing.post("/v1/responses", {**body, "input": [{"role": "user", "content": parts}]}).json()
    said = expected(seeing, text("see"), image_url(URL), text("what?"))
    assert first["output"][0]["content"][0]["text"] == said
    later = {**body, "input": "and?", "previous_response_id": first["id"]}
    answer = seeing.post("/v1/responses", later).json()
    num_cached = answer["usage"]["input_tokens_details"]["cached_tokens"]
    assert num_cached > TinyProjector().num_rows, "the picture is found again"
    for part, why in (
        ({"type": "input_image", "file_id": "file-1"}, "files are not kept here"),
        ({"type": "input_image", "image_url": "http://127.0.0.1/a.png"}, "fetches nothing"),
        ({"type": "input_file", "file_data": "x"}, "input_file cannot be read"),
    ):
        refused = seeing.post("/v1/responses", {**body, "input": [{"role": "user", "content": [part]}]})
        assert refused.status == 400
        assert why in refused.json()["error"]["message"]


def test_rows_of_pictures_are_counted(seeing: Served) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": BASE64}
    content = [{"type": "image", "source": source}, text("what?")]
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    counted = seeing.post("/v1/messages/count_tokens", body).json()["input_tokens"]
    answered = seeing.post("/v1/messages", {**body, "max_tokens": 1}).json()["usage"]
    used = answered["input_tokens"] + answered.get("cache_read_input_tokens", 0)
    assert counted == used > TinyProjector().num_rows


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (image_url("http://127.0.0.1:9/a.png"), "is no data URL, and the server fetches nothing"),
        (image_url("file:///etc/passwd"), "is no data URL"),
        (image_url("data:image/png,abc"), "is not in base64"),
        (image_url("data:image/png;base64,@@@"), "this is no base64"),
        (image_url("data:image/png;base64,"), "without a byte"),
        (image_url("data:image/png;base64,AAAA"), "no whole PNG, JPEG or GIF"),
        ({"type": "image", "image": "/etc/passwd"}, "str is no picture"),
        ({"type": "input_audio", "input_audio": {}}, "neither a text nor a picture"),
    ],
)
def test_what_is_no_picture_is_a_bad_request(part: dict[str, Any], why: str, seeing: Served) -> None:
    answer = seeing.post("/v1/chat/completions", openai(part))
    assert answer.status == 400
    assert why in answer.json()["error"]["message"]


def test_others_cannot_say_where_a_picture_is(seeing: Served) -> None:
    """The mark of its place is of no character, and is taken out of texts."""
    found = seeing.post("/v1/chat/completions", openai(text("s\ufdd2ee"), image_url(URL), text("w\ufdd2hat?"))).json()
    assert found["choices"][0]["message"]["content"] == expected(seeing, text("see"), image_url(URL), text("what?"))
    of_system = openai(image_url(URL), text("what?"))
    of_system["messages"] = [{"role": "system", "content": "be \ufdd2brief"}, *of_system["messages"]]
    assert seeing.post("/v1/chat/completions", of_system).status == 200
    of_system["messages"][0]["content"] = [image_url(URL)]
    refused = seeing.post("/v1/chat/completions", of_system)
    assert refused.status == 400
    assert "only those of users" in refused.json()["error"]["message"]


def test_it_is_said_that_pictures_are_taken(seeing: Served) -> None:
    assert seeing.get("/props").json()["modalities"] == {"vision": True, "audio": False, "video": False}
