"""`cluster cache rm` removes what was named, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.cli.command import main
from cluster.demo import model_path
from cluster.store.slices import SliceStore
from tests.fakes.opened import opened


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SliceStore:
    """With three slices of the shipped model."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store, model = SliceStore(), opened(model_path())
    for first, end in ((0, 2), (2, 4), (4, 8)):
        store.get_slice(model, first, end)
    return store


@pytest.mark.parametrize("key", ["", "no-such-key", "0" * 64])
def test_a_key_that_names_no_single_slice_is_refused(
    key: str, store: SliceStore, capsys: pytest.CaptureFixture[str]
) -> None:
    first = store.list()[0].key
    assert main(["cache", "rm", first[:12], key]) == 2
    assert "cluster cache ls" in capsys.readouterr().err
    assert len(store.list()) == 3


def test_a_unique_beginning_is_enough(store: SliceStore, capsys: pytest.CaptureFixture[str]) -> None:
    kept, *gone = (item.key for item in store.list())
    assert main(["cache", "rm", *(key[:12] for key in (*gone, gone[0]))]) == 0
    assert capsys.readouterr().out.split() == [key[:12] for key in gone]
    assert [item.key for item in store.list()] == [kept]
    assert main(["cache", "rm", "--all"]) == 0
    assert store.list() == ()
