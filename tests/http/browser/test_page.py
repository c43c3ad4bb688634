"""The page itself: what it does with hostile text, keys, narrow screens, and a server that goes away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.browser.conftest import Open, answered, ready, send, sync_api
from tests.http.scripted.server import Scripted
from tests.http.serving import Served, serving

pytestmark = [pytest.mark.browser, pytest.mark.native]
expect = sync_api.expect
FOLDER = Path(__file__).parents[3] / "cluster" / "http" / "page"
MAX_BYTES = 150_000

FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "<style")
# Elements that fetch or run something, and attributes that would run something.
ACTIVE = """[...document.querySelectorAll('script, img, iframe, object, embed, style, base, link')]
            .map(e => e.tagName + (e.getAttribute('src') || ''))"""
HANDLERS = """[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])
              .map(a => a.name).filter(name => name.startsWith('on'))"""
UNCLOSED = "`" * 3000 + "[" * 3000 + "*a _b " * 3000 + "\n" + "> " * 2000 + "x\n" + "- " * 2000

ATTACKS = (
    "<script>window.hit=1</script>",
    '<img src="x" onerror="window.hit=1">',
    "[link](javascript:window.hit=1)",
    "![picture](https://evil.example/p.png)",
    '[a](https://x.example/"onmouseover="window.hit=1)',
    "<svg/onload=window.hit=1>",
    "```<b>\n</code></pre><script>window.hit=1</script>\n```",
    "| a | <i>b</i> |\n|---|---|\n| <script>window.hit=1</script> | x |",
    "> <iframe src=//evil.example></iframe>",
)


def test_it_is_small_and_asks_nobody_else() -> None:
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    for path in files:
        text = path.read_text(encoding="utf-8")
        for forbidden in FORBIDDEN:
            assert forbidden not in text, f"{forbidden} in {path.name}"


def test_hostile_text_stays_text(page: Any, scripted: Scripted) -> None:
    scripted.script.answers("\n\n".join(ATTACKS))
    send(page, '"><script>window.hit=1</script><img src=x onerror=window.hit=1>')
    answer = answered(page)
    expect(answer.locator(".text").last).to_contain_text("<script>window.hit=1</script>")
    assert page.evaluate("window.hit") is None
    tags = page.evaluate(ACTIVE)
    assert [tag for tag in tags if tag not in ("LINK", "SCRIPTapp.js")] == []
    schemes = page.evaluate("[...document.querySelectorAll('.message a')].map(a => a.protocol)")
    assert set(schemes) <= {"https:"}
    assert page.evaluate(HANDLERS) == []
    expect(page.locator("#side li a")).to_contain_text("<script>")


def test_long_marks_without_ends_do_not_hold_the_page_up(page: Any, tmp_path: Path) -> None:
    message = {"role": "assistant", "parent": "", "content": f"{UNCLOSED}\n{UNCLOSED}\n\nthe end"}
    file = tmp_path / "long.json"
    conversation = {"title": "Long", "messages": {"a": message}}
    file.write_text(json.dumps({"format": "ggml-cluster-conversations", "conversations": [conversation]}))
    page.set_input_files('input[aria-label="File of conversations"]', file)
    page.click("#side li a")
    expect(page.locator(".message.assistant .text").last).to_contain_text("the end")


def test_a_key_is_asked_for_and_forgotten_with_the_tab(open_page: Open, served: Served) -> None:
    with serving(keys=["open sesame"], cluster=served) as locked:
        page = open_page(locked.url)
        page.fill('#gate input[type="password"]', "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#gate")).to_contain_text("is not known")
        page.fill('#gate input[type="password"]', "open sesame")
        page.keyboard.press("Enter")
        ready(page)
        expect(page.locator("#gate")).to_be_hidden()
        page.goto(f"{locked.url}/#/cluster")
        expect(page.locator(".stage")).to_have_count(2)
        assert page.evaluate("Object.values(localStorage).join()").find("sesame") < 0
        page.close()


def test_it_waits_for_the_server_and_goes_on_by_itself(open_page: Open, scripted: Scripted) -> None:
    page = open_page(scripted.url)
    ready(page)
    page.context.set_offline(True)
    send(page, "Hello")
    expect(page.locator(".message.assistant .error")).to_contain_text("cannot be reached")
    expect(page.locator("#dot.bad")).to_be_visible(timeout=40_000)
    page.context.set_offline(False)
    ready(page)
    page.click('[aria-label="Regenerate"]')
    expect(answered(page).locator(".text").last).to_have_text("Yes.")


def test_a_model_that_is_being_loaded_is_waited_for(open_page: Open, scripted: Scripted) -> None:
    """The answers are those of a server without a cluster, told before the real ones."""
    page = open_page(f"{scripted.url}/icon.svg")
    asked = []

    def loading(route: Any) -> None:
        asked.append(route)
        if len(asked) > 3:
            route.continue_()
            return
        body = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}, "state": "away"}
        route.fulfill(status=503, json=body)

    page.route("**/health", loading)
    page.goto(scripted.url)
    expect(page.locator("#gate")).to_contain_text("The model is being loaded")
    ready(page)
    expect(page.locator("#gate")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_colours(open_page: Open, scripted: Scripted, scheme: str) -> None:
    page = open_page(scripted.url, viewport={"width": 360, "height": 700}, color_scheme=scheme, has_touch=True)
    ready(page)
    scripted.script.answers("`" + "long" * 100 + "`\n\n```\n" + "wide " * 100 + "\n```\n")
    page.fill("#prompt", "Hello")
    page.click("#send")
    answered(page)
    for view in ("chat", "cluster", "connect"):
        page.evaluate(f"location.hash = '#/{view}'")
        page.locator(f"#view-{view}").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    bright = sum(map(int, page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3)")))
    assert (bright > 3 * 128) == (scheme == "light")
    page.click("#menu")
    expect(page.locator("#side .new")).to_be_in_viewport()


def test_everything_has_a_name_and_is_reached_by_key(page: Any, scripted: Scripted) -> None:
    send(page, "Hello")
    answered(page)
    page.click("#tune")
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, a, input, select, textarea')]
           .filter(e => e.offsetParent && !e.getAttribute('aria-label') && !e.textContent.trim() && !e.closest('label'))
           .map(e => e.outerHTML.slice(0, 100))"""
    )
    assert nameless == []
    page.keyboard.press("Control+k")
    expect(page.locator('#side input[type="search"]')).to_be_focused()
    page.keyboard.press("Control+Shift+O")
    expect(page.locator(".welcome")).to_be_visible()
    expect(page.locator("#prompt")).to_be_focused()


LEAVES_AS_IT_IS_STORED = """
const own = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, "oncomplete");
Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
  get: own.get,
  set(then) {
    own.set.call(this, (event) => {
      if (window.leaves && this.mode === "readwrite") {
        window.leaves = false;
        location.hash = "#/cluster";  // the page hears of it in a later task
      }
      then(event);
    });
  },
});
"""


def test_whoever_leaves_while_a_conversation_is_stored_is_not_called_back(page: Any, scripted: Scripted) -> None:
    page.add_init_script(LEAVES_AS_IT_IS_STORED)
    page.reload()
    ready(page)
    scripted.script.answers("word " * 300)
    page.evaluate("window.leaves = true")
    send(page, "Hello")
    expect(page.locator(".stage")).to_have_count(2)
    assert page.url.endswith("#/cluster")


def test_the_dashboard_is_live(page: Any, scripted: Scripted) -> None:
    scripted.script.answers("word " * 3000)
    send(page, "Hello")
    page.goto(f"{scripted.url}/#/cluster")
    expect(page.locator(".stage")).to_have_count(2)
    expect(page.locator('.stage[data-stage="0"]')).to_contain_text("layers 0")
    expect(page.locator(".hop b")).to_contain_text("ms")
    expect(page.locator(".tiles")).to_contain_text("1 running")
    expect(page.locator("tbody .pill.good").first).to_contain_text("writes")
    expect(page.locator(".charts b").first).not_to_have_text("0.0")
    page.evaluate("location.hash = '#/chat'")
    page.click("#send")
    answered(page)


def test_lines_to_connect_name_this_server_and_its_model(page: Any, scripted: Scripted) -> None:
    page.goto(f"{scripted.url}/#/connect")
    for client in ("curl", "OpenAI", "Anthropic", "Ollama", "Codex", "Claude Code"):
        block = page.locator("section.code", has=page.locator("h2", has_text=client))
        expect(block.first).to_contain_text(scripted.url)
    model = scripted.served.get("/v1/models").json()["data"][0]["id"]
    expect(page.locator("section.code").first).to_contain_text(model)
