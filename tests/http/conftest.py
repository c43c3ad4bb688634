"""The server that most of these tests ask: one for all of them, since none of them leaves anything behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http.scripted.server import Scripted, scripted_server
from tests.http.serving import Served, serving


@pytest.fixture(scope="session")
def slice_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A slice store of their own."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def served(slice_cache: None) -> Iterator[Served]:
    """The demo model on two stages with four slots of 512 tokens."""
    with serving() as found:
        yield found


@pytest.fixture(scope="session")
def scripted_cluster(slice_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    """Two stages whose answers are scripted, with four slots for the prompts of agents."""
    with scripted_server(tmp_path_factory.mktemp("scripted")) as found:
        yield found


@pytest.fixture
def scripted(scripted_cluster: Scripted) -> Scripted:
    """The same, with nothing left of the script of another test."""
    scripted_cluster.script.answers("Yes.")
    return scripted_cluster
