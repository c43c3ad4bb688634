"""Paces and kept figures; the benchmark itself runs once, on the real library."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.cutting.header import read_header
from cluster.node.disk_cache import kept_folder, read_cached, write_cached
from cluster.planning.measure import profile
from cluster.planning.measure.profile import DeviceProfile, bench_kind, measured_profile
from ggml.gguf.tensor_types import tensor_type
from tests.fakes.tiny_models import TinyModel, write_tiny
from worker_native.probe import probe

KEY = {"device": "CPU", "threads": 2}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return kept_folder()


def test_between_measured_row_counts_lies_a_straight_line_of_time() -> None:
    found = DeviceProfile((1, 2, 4), (1e-9, 2e-9, 4e-9), 1e-8)
    assert [round(1e9 / found.speed(rows)) for rows in (1, 2, 3, 4, 8)] == [1, 2, 3, 4, 8]
    assert found.sample_s(4, 1000) == pytest.approx(4e-5)


@pytest.mark.parametrize(
    "values",
    [((2,), (1e-9,), 0.0), ((1, 2), (1e-9,), 0.0), ((1, 4, 2), (1e-9,) * 3, 0.0), ((1,), (0.0,), 0.0), ((), (), 0.0)],
)
def test_a_pace_that_cannot_be_is_none(values: tuple[tuple[int, ...], tuple[float, ...], float]) -> None:
    with pytest.raises(ValueError, match=r"row_counts|s_per_byte"):
        DeviceProfile(*values)


@pytest.mark.parametrize(("kind", "expected"), [("F32", "F16"), ("Q8_0", "Q8_0")])
def test_a_model_is_measured_by_its_own_kind_of_weights(tmp_path: Path, kind: str, expected: str) -> None:
    header = read_header(write_tiny(tmp_path / "tiny.gguf", TinyModel(kind=kind)))
    assert bench_kind(header) == expected
    names = {
        "Q4_K": "Q4_K",
        "IQ4_XS": "Q4_K",
        "Q6_K": "Q4_K",
        "Q5_0": "Q8_0",
        "Q4_1": "Q4_0",
        "MXFP4": "Q4_0",
        "BF16": "F16",
    }
    for name, nearest in names.items():
        only = replace(header, tensors=tuple(replace(info, type=tensor_type(name)) for info in header.tensors))
        assert bench_kind(only) == nearest


def test_figures_are_kept_under_all_they_depend_on(cache: Path) -> None:
    write_cached("profile", KEY, [1, 2])
    assert read_cached("profile", KEY, list) == [1, 2]
    assert read_cached("profile", {**KEY, "threads": 1}, list) is None
    assert read_cached("link", KEY, list) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1, "value": 2}', "\x00\xff", "[" * 100_000])
def test_damaged_figures_are_measured_again(cache: Path, content: str) -> None:
    write_cached("profile", KEY, [1])
    (path,) = cache.iterdir()
    path.write_text(content, encoding="latin-1")
    assert read_cached("profile", KEY, list) is None


def test_a_folder_that_cannot_be_written_is_no_failure(cache: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    write_cached("profile", KEY, [1])
    assert read_cached("profile", KEY, list) is None


def test_the_benchmark_measures_once_and_then_reads(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = probe()
    device = next(device for device in facts.devices if device.kind == "cpu")
    assert measured_profile(facts, device, "Q8_0", 1, 2, measure=False) is None
    found = measured_profile(facts, device, "Q8_0", 1, 2)
    assert found is not None
    assert found.row_counts == profile.ROW_COUNTS
    assert 1e6 < found.speed(1) < 1e13
    assert found.sample_s_per_logit > 0
    monkeypatch.setattr(profile, "_measure", None)
    assert measured_profile(facts, device, "Q8_0", 1, 2) == found
    (path,) = cache.iterdir()
    assert json.loads(path.read_text())["key"]["num_cores"] == len(os.sched_getaffinity(0))
