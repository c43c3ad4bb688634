"""A person chats: what is typed goes to a real server, and what comes back is on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.browser.conftest import Open, accepting, answered, ready, send, sync_api
from tests.http.scripted.server import Scripted

pytestmark = [pytest.mark.browser, pytest.mark.native]
expect = sync_api.expect
LONG = "word " * 1500


def test_an_answer_streams_and_is_markdown(page: Any, scripted: Scripted) -> None:
    scripted.script.answers("# Title\n\nSome **bold** text.\n\n```python\nprint(1)\n```\n\n- one\n- two\n\n" + LONG)
    send(page, "Hello")
    expect(page.locator(".message.user .bubble")).to_have_text("Hello")
    expect(page.locator('#send[aria-label^="Stop"]')).to_be_visible()
    expect(page.locator(".message.assistant h3")).to_have_text("Title")  # while the rest still comes
    expect(page.locator(".message.assistant.live .status")).to_contain_text("tokens/s")
    answer = answered(page)
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.locator("pre code")).to_have_text("print(1)")
    expect(answer.locator("li")).to_have_count(2)
    expect(answer.locator(".status")).to_contain_text("tokens/s")
    expect(page.locator(".meter")).to_contain_text("tokens")


@pytest.mark.parametrize("by", ["button", "Escape"])
def test_an_answer_is_stopped_and_its_slot_is_free(page: Any, scripted: Scripted, by: str) -> None:
    scripted.script.answers(LONG)
    send(page, "Hello")
    expect(page.locator(".message.assistant .text").last).to_contain_text("word word")
    page.click("#send") if by == "button" else page.keyboard.press("Escape")
    answer = answered(page)
    expect(answer.locator(".status")).to_contain_text("stopped")
    assert len(answer.locator(".text").last.inner_text()) < len(LONG) - 100
    scripted.served.wait_idle()


def test_regenerating_and_editing_make_branches(page: Any, scripted: Scripted) -> None:
    scripted.script.answers("first")
    send(page, "Hello")
    answered(page)
    scripted.script.answers("second")
    page.locator(".message.assistant").hover()
    page.click('[aria-label="Regenerate"]')
    expect(answered(page).locator(".text").last).to_have_text("second")
    expect(page.locator(".message.assistant .branches")).to_contain_text("2 / 2")
    page.click('.message.assistant [aria-label="Version before"]')
    expect(page.locator(".message.assistant .text").last).to_have_text("first")

    scripted.script.answers("third")
    page.locator(".message.user").hover()
    page.click('[aria-label="Edit message"]')
    page.fill(".editing", "Goodbye")
    page.click('.message.user button[type="submit"]')
    expect(answered(page).locator(".text").last).to_have_text("third")
    assert "Goodbye" in scripted.script.prompts[-1]
    assert "Hello" not in scripted.script.prompts[-1]
    page.click('.message.user [aria-label="Version before"]')
    expect(page.locator(".message.user .bubble")).to_have_text("Hello")
    expect(page.locator(".message.assistant .text").last).to_have_text("first")


def test_an_answer_goes_on_where_it_ended(page: Any, scripted: Scripted) -> None:
    scripted.script.answers("Once upon")
    send(page, "Hello")
    answered(page)
    scripted.script.answers(" a time")
    page.click('[aria-label="Continue the answer"]')
    expect(answered(page).locator(".text").last).to_have_text("Once upon a time")
    assert scripted.script.prompts[-1].endswith("Once upon")


def test_history_is_kept_searched_renamed_and_deleted(page: Any, scripted: Scripted) -> None:
    scripted.script.answers("An answer about lanterns.")
    send(page, "Tell me of a fox")
    answered(page)
    page.reload()
    ready(page)
    expect(page.locator(".message.assistant .text").last).to_have_text("An answer about lanterns.")
    page.keyboard.press("Control+k")
    page.keyboard.type("lanterns fox")
    expect(page.locator("#side li")).to_have_count(1)
    page.keyboard.type("zebra")
    expect(page.locator("#side li")).to_have_count(0)
    page.fill('#side input[type="search"]', "")
    page.locator("#side li").hover()
    page.click('#side [aria-label^="Rename"]')
    page.fill('dialog input[aria-label="Title"]', "Foxes")
    page.keyboard.press("Enter")
    expect(page.locator("#side li a")).to_have_text("Foxes")
    page.locator("#side li").hover()
    with accepting(page):
        page.click('#side [aria-label^="Delete"]')
    expect(page.locator("#side li")).to_have_count(0)
    expect(page.locator(".welcome")).to_be_visible()


def test_conversations_go_to_a_file_and_come_back(
    page: Any, scripted: Scripted, open_page: Open, tmp_path: Path
) -> None:
    scripted.script.answers("kept")
    send(page, "Hello")
    answered(page)
    with page.expect_download() as download:
        page.click("text=Export all")
    file = tmp_path / "all.json"
    download.value.save_as(file)
    held = json.loads(file.read_text())
    (message,) = [one for one in held["conversations"][0]["messages"].values() if one["role"] == "assistant"]
    assert message["content"] == "kept"
    assert message["timings"]["predicted_n"] > 0
    other = open_page(scripted.url)
    ready(other)
    other.set_input_files('input[aria-label="File of conversations"]', file)
    other.click("#side li a")
    expect(other.locator(".message.assistant .text").last).to_have_text("kept")
    broken = tmp_path / "broken.json"
    broken.write_text('{"format": "ggml-cluster-conversations", "conversations": [{"messages": {"a": {"role": "x"}}}]}')
    other.set_input_files('input[aria-label="File of conversations"]', broken)
    expect(other.locator(".toast.bad")).to_contain_text("was not imported")


def test_settings_go_with_the_request(page: Any, scripted: Scripted) -> None:
    page.click("#tune")
    expect(page.locator('[data-setting="temperature"]')).to_have_attribute("placeholder", "0.8")  # the server's
    page.fill('[data-setting="system"]', "Speak like a pirate.")
    page.fill('[data-setting="max_tokens"]', "5")
    scripted.script.answers(LONG)
    send(page, "Hello")
    expect(answered(page).locator(".status")).to_contain_text("stopped at the limit of tokens")
    assert "Speak like a pirate." in scripted.script.prompts[-1]
    page.click("text=Structure and tools")
    page.fill('[data-setting="schema"]', "{not json")
    send(page, "Again")
    expect(page.locator(".toast.bad").last).to_contain_text("is not JSON")
    assert page.input_value("#prompt") == "Again"  # nothing is lost


def test_files_are_attached_as_text(page: Any, scripted: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("The password is swordfish.")
    page.set_input_files('input[aria-label="Text files"]', file)
    expect(page.locator(".files li")).to_contain_text("notes.txt")
    binary = tmp_path / "picture.bin"
    binary.write_bytes(b"\x89PNG\xff\xfe")
    page.set_input_files('input[aria-label="Text files"]', binary)
    expect(page.locator(".toast.bad")).to_contain_text("is not a text file")
    send(page, "Read it")
    answered(page)
    assert "notes.txt" in scripted.script.prompts[-1]
    assert "The password is swordfish." in scripted.script.prompts[-1]


def test_the_prompt_and_its_tokens_are_shown(page: Any, scripted: Scripted) -> None:
    send(page, "Hello there")
    answered(page)
    page.click('[aria-label="Prompt and tokens"]')
    expect(page.locator("dialog pre")).to_contain_text("Hello there")
    page.click("text=Tokens of the prompt")
    expect(page.locator("dialog .token").first).to_be_visible()
    assert "Hello" in page.locator("dialog .tokens").inner_text()


def test_reasoning_is_folded_and_calls_are_cards(page: Any, scripted: Scripted) -> None:
    page.click("#tune")
    page.click("text=Structure and tools")
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    page.fill('[data-setting="tools"]', json.dumps([{"name": "weather", "parameters": parameters}]))
    scripted.script.answers('<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>')
    send(page, "What is the weather?")
    card = answered(page).locator(".call")
    expect(card).to_contain_text("weather")
    expect(card.locator("pre")).to_contain_text('"city": "Oslo"')
    scripted.script.answers("<think>It rains there.</think>Take a coat.")
    card.locator("textarea").fill("rain")
    card.locator('button[type="submit"]').click()
    answer = answered(page)
    expect(answer.locator(".text").last).to_have_text("Take a coat.")
    expect(answer.locator(".reasoning summary")).to_contain_text("Thought for")
    expect(answer.locator(".reasoning .text")).to_be_hidden()
    assert "rain" in scripted.script.prompts[-1]
