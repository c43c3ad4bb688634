"""Chromium without a window, and a page that may not complain, nor ask any other host."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.http.scripted.server import Scripted

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not here; pip install 'ggml-cluster[test]'")
Open = Callable[..., Any]
TIMEOUT_MS = 10_000


@pytest.fixture(scope="package")  # its loop would be in the way of every asyncio.run behind these tests
def browser() -> Iterator[Any]:
    """The system's Chromium: playwright's own is a download."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium; apt install chromium")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens the page of a server; what is given describes the browser. At the end there must be no complaint."""
    opened: list[Any] = []

    def open_(url: str, **described: Any) -> Any:
        context = browser.new_context(**described)
        opened.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        page = context.new_page()
        page.complaints = _listen(page, urlsplit(url).netloc)
        page.goto(url)
        return page

    yield open_
    for context in opened:
        complaints = [complaint for page in context.pages for complaint in getattr(page, "complaints", [])]
        context.close()
        assert complaints == []


@pytest.fixture
def page(open_page: Open, scripted: Scripted) -> Any:
    """The page of the scripted cluster, ready."""
    found = open_page(scripted.url, viewport={"width": 1280, "height": 800})
    ready(found)
    return found


def ready(page: Any) -> None:
    """Wait until it can be chatted with."""
    page.locator("#dot.good").wait_for()


def send(page: Any, text: str) -> None:
    page.fill("#prompt", text)
    page.press("#prompt", "Enter")


def answered(page: Any) -> Any:
    """The newest answer, once it is complete."""
    page.locator('#send[aria-label="Send"]').wait_for()
    return page.locator(".message.assistant").last


@contextmanager
def accepting(page: Any) -> Iterator[None]:
    """Questions of the page are answered with yes."""
    page.once("dialog", lambda dialog: dialog.accept())
    yield


def _listen(page: Any, host: str) -> list[str]:
    complaints: list[str] = []

    def hear(message: Any) -> None:
        # The browser itself tells of answers that are errors, which some tests are about.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            complaints.append(f"{message.type}: {message.text}")

    def see(request: Any) -> None:
        if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and urlsplit(request.url).netloc != host:
            complaints.append(f"asked {request.url}")

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(f"thrown: {error}"))
    page.on("request", see)
    return complaints
