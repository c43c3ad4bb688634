"""What the examples run in: one thread, because several that wait for each other are slow where others compute, too."""

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
