"""The scripted cluster itself: what it writes is what the script says, token by token, after the whole prompt."""

from __future__ import annotations

import pytest

from tests.http.scripted.server import Scripted, Words

pytestmark = pytest.mark.native


def test_words_are_written_and_read_back() -> None:
    words = Words()
    for text in ("The stage holds its layers.", '<tool_call>\n{"name": "caf\u00e9"}\n</tool_call>', "\U0001f600 \t"):
        assert words.text(words.ids(text)) == text


def test_the_answer_is_the_scripts_and_the_prompt_is_what_was_asked(scripted: Scripted) -> None:
    scripted.script.answers(lambda prompt: f"{len(prompt)} characters, which end in {prompt[-5:]}")
    body = {"model": "x", "prompt": "Once upon a time", "raw": True, "stream": False}
    answer = scripted.served.post("/api/generate", body)
    assert answer.status == 200, answer.content
    found = answer.json()
    assert found["response"] == "19 characters, which end in  time"  # with <s>
    assert found["done_reason"] == "stop"
    assert scripted.script.prompts[-1].endswith("Once upon a time")
