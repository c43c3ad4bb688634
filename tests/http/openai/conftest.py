"""openai-python, of both servers."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.http.scripted.server import Scripted
from tests.http.serving import Served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    """Of the demo model."""
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def actor(scripted: Scripted) -> Iterator[openai.OpenAI]:
    """Of the scripted model."""
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="none", max_retries=0) as made:
        yield made
