"""curl, one process for each request, as people type it."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.http.hello import HI
from tests.http.serving import Answer

ANSWER_S = 60


def curl(url: str, body: object, *options: str) -> Answer:
    """The answer to a POST, without its headers. `options` are curl's; its own file of settings is not read."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not there")
    command = ["curl", "-q", "--silent", "--show-error", "--no-buffer", "--noproxy", "*", "--write-out", "%{http_code}"]
    done = subprocess.run(
        [*command, "--json", "@-", *options, url],
        input=json.dumps(body).encode(),
        capture_output=True,
        timeout=ANSWER_S,
        check=True,
    )
    return Answer(int(done.stdout[-3:]), {}, done.stdout[:-3])


def chat(url: str, **more: Any) -> Answer:
    """A chat of the server at that address; of HI, unless it is told other messages."""
    return curl(f"{url}/v1/chat/completions", {"messages": HI, **more})


def choice_of(answer: Answer) -> Any:
    """The only choice of a whole answer."""
    assert answer.status == 200, answer.content
    (choice,) = answer.json()["choices"]
    return choice


def deltas_of(answer: Answer) -> list[Any]:
    """Of the first choice, in all chunks of a stream that has any; the stream has ended as it should."""
    *chunks, done = answer.events()
    assert done == "[DONE]"
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0]


def text_of(answer: Answer) -> str:
    """Of the first choice of a stream."""
    return "".join(delta.get("content") or "" for delta in deltas_of(answer))
