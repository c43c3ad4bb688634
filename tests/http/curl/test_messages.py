"""Messages with curl."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.curl.asking import curl
from tests.http.hello import HI
from tests.http.scripted.server import Scripted
from tests.http.serving import Answer, Served

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


def message(url: str, path: str = "", **more: Any) -> Answer:
    body = {"model": "m", "max_tokens": 99, "messages": HI, **more}
    answer = curl(f"{url}/v1/messages{path}", body, "--header", "anthropic-version: 2023-06-01")
    assert answer.status == 200, answer.content
    return answer


@conformance(row=32, client="curl")
def test_a_message(served: Served) -> None:
    found = message(served.url, max_tokens=5, system="Be brief.").json()
    assert (found["type"], found["role"], found["stop_reason"]) == ("message", "assistant", "max_tokens")
    (block,) = found["content"]
    assert block["type"] == "text"
    assert block["text"]
    assert found["usage"]["output_tokens"] == 5


@conformance(row=33, client="curl")
@conformance(row=34, client="curl")
def test_a_stream_has_a_block_for_what_was_thought(scripted: Scripted) -> None:
    scripted.script.answers("<think>\nLet me see.\n</think>\n\nYes.")
    events = message(scripted.url, stream=True, thinking={"type": "enabled", "budget_tokens": 2000}).events()
    assert (events[0]["type"], events[-1]["type"]) == ("message_start", "message_stop")
    begun = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
    assert begun == ["thinking", "text"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(delta.get("thinking", "") for delta in deltas).strip() == "Let me see."
    assert "".join(delta.get("text", "") for delta in deltas) == "Yes."
    (end,) = [event for event in events if event["type"] == "message_delta"]
    assert end["delta"]["stop_reason"] == "end_turn"


@conformance(row=35, client="curl")
def test_a_system_message_in_the_middle(scripted: Scripted) -> None:
    middle = [{"role": "assistant", "content": "Hello."}, {"role": "system", "content": "Speak of owls."}]
    message(scripted.url, messages=[*HI, *middle, {"role": "user", "content": "Go on."}], system="Be brief.")
    prompt = scripted.script.prompts[-1]
    assert prompt.index("Be brief.") < prompt.index("Hello.") < prompt.index("Speak of owls.") < prompt.index("Go on.")


@conformance(row=36, client="curl")
def test_tokens_are_counted(served: Served) -> None:
    counted = message(served.url, "/count_tokens").json()["input_tokens"]
    usage = message(served.url, max_tokens=1).json()["usage"]
    assert counted == usage["input_tokens"] + usage["cache_read_input_tokens"] > 0
