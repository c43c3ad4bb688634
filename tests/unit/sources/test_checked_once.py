"""A model is checked once, when it is opened, and a slice is cut once, however much is asked of both."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from cluster.cli.command import main
from cluster.config import ClusterConfig
from cluster.cutting.boundary import boundaries
from cluster.cutting.cut import cut
from cluster.cutting.cuts import find_places, legal_cuts
from cluster.cutting.rules import check
from cluster.cutting.sizes import model_sizes, trained_context
from cluster.planning.any_plan import plan_model
from cluster.store.slices import SliceStore
from ggml.gguf.tensor_types import F16
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny


@contextmanager
def calls_of(*functions: Callable[..., object]) -> Iterator[Counter[str]]:
    """How often each of them is called in the block, by this thread, under whatever name."""
    names = {function.__code__: function.__name__ for function in functions}
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in names:
            calls[names[frame.f_code]] += 1

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.gguf", TinyModel())


def test_opening_checks_once(path: Path) -> None:
    with calls_of(check, find_places) as calls:
        model = opened(path).model
    assert calls == {"check": 1, "find_places": 1}
    with calls_of(check, find_places) as calls:
        legal_cuts(model)
        cut(model, 1, 3)
        boundaries(model, (1, 2))
        model_sizes(model, 64, F16, F16)
        trained_context(model)
    assert calls == {}


def test_a_slice_is_cut_once(path: Path, tmp_path: Path) -> None:
    """Beside it, once for each slice in the store that bytes may be taken from; a whole model is not cut at all."""
    model, store = opened(path), SliceStore(tmp_path / "store")
    for bounds, num_cuts in (((0, 2), 1), ((1, 3), 2), ((0, 2), 1), ((0, 4), 0)):
        with calls_of(check, cut) as calls:
            store.get_slice(model, *bounds)
        assert calls == ({"cut": num_cuts} if num_cuts else {}), bounds


def test_a_plan_checks_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = ClusterConfig(str(path), stages=2, devices=("CPU", "CPU"), ctx_size=64)
    with calls_of(check, cut) as calls:
        plan = plan_model(config)
    assert calls["check"] == 1
    assert len(plan.stages) == 2


@pytest.mark.parametrize("verb", ["plan", "verify"])
def test_a_verb_checks_once(verb: str, path: Path) -> None:
    with calls_of(check) as calls:
        assert main([verb, str(path), "--stages", "1", "--devices", "CPU", "--ctx-size", "64"]) == 0
    assert calls == {"check": 1}
