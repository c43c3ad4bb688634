"""One thread: of tiny models each step would be shorter than the threads wait for one another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import ggml


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = ggml.get_num_threads()
    ggml.set_num_threads(1)
    yield
    ggml.set_num_threads(before)
