"""Steps, comparison and checksums, as functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.api.errors import UsageError
from cluster.verify.checksums import keep_checksums, kept_checksums, load_checksums, save_checksums, summed
from cluster.verify.compare import compare_checksums, compare_rows
from cluster.verify.rows import Rows, max_delta, read_rows, write_rows
from cluster.verify.steps import make_steps

KEY = {"version": 1, "model_hash": "ab", "steps": 1, "context": {"n_ctx": 64}, "processor": "P"}


def rows(change: float = 0.0, layers: tuple[int, ...] = (3, 6)) -> Rows:
    rng = np.random.default_rng(1)
    hidden = {layer: rng.random((5, 4), np.float32) for layer in (3, 6)}
    logits = rng.random((5, 7), np.float32)
    hidden[6][2, 1] += np.float32(change)
    logits[4, 0] += np.float32(100 * change)
    return Rows({layer: hidden[layer] for layer in layers}, logits)


@given(st.integers(1, 300_000), st.integers(2, 200), st.integers(1, 4), st.integers(1, 600))
def test_steps_are_what_a_slice_takes(vocab_size: int, n_ctx: int, n_slots: int, n_ubatch: int) -> None:
    lengths = [0, 0]
    for step in make_steps(vocab_size, n_ctx, n_slots, n_ubatch):
        batch = step.microbatch(1)
        assert len(batch.positions) == len(batch.slots) == len(batch.wants_logits) == batch.num_rows <= n_ubatch
        for token, position, slot in zip(step.tokens, step.positions, step.slots, strict=True):
            assert 0 <= token < vocab_size
            assert position == lengths[slot] < n_ctx
            assert slot < n_slots
            lengths[slot] += 1
    assert lengths[0] > 0


def test_steps_cover_a_prompt_single_tokens_and_two_slots() -> None:
    steps = make_steps(1000, 256, 2, 512)
    assert [len(step.tokens) for step in steps] == [32, *[1] * 16, 4, 2]
    assert len(make_steps(152_000, 256, 2, 512)[0].tokens) == 13


def test_equal_rows_pass_and_others_are_measured() -> None:
    same = compare_rows(rows(), rows())
    assert same.passes(0.0)
    assert (same.num_rows, same.num_greedy_equal) == (5, 5)
    other = compare_rows(rows(), rows(0.5))
    assert [finding.is_equal for finding in other.findings] == [True, False, False]
    assert [finding.max_delta for finding in other.findings] == pytest.approx([0.0, 0.5, 50.0], rel=1e-5)
    assert other.num_greedy_equal == 4
    assert not other.passes(49.0)
    assert other.passes(51.0)


def test_what_is_no_number_never_passes() -> None:
    bad = rows()
    assert bad.logits is not None
    bad.logits[0, 0] = np.nan
    assert max_delta(bad.logits, bad.logits) == float("inf")
    assert not compare_rows(rows(), bad).passes(1e9)
    assert max_delta(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)) == float("inf")


def test_minus_zero_is_not_zero() -> None:
    zeros = Rows({}, np.zeros((1, 2), np.float32))
    negative = Rows({}, np.array([[0.0, -0.0]], np.float32))
    assert not compare_rows(zeros, negative).findings[-1].is_equal


def test_rows_travel_as_files(tmp_path: Path) -> None:
    sent = rows()
    write_rows(tmp_path / "rows.npz", sent.hidden, sent.logits)
    got = read_rows(tmp_path / "rows.npz")
    assert compare_rows(sent, got).passes(0.0)
    assert set(got.hidden) == {3, 6}


def test_checksums_are_compared_at_the_boundaries_they_have() -> None:
    sums = summed(KEY, "whole", rows())
    assert compare_checksums(sums, rows()).passes(0.0)
    assert [finding.what for finding in compare_checksums(sums, rows(layers=(6,))).findings] == [
        "rows in front of layer 6",
        "logits",
    ]
    other = compare_checksums(sums, rows(0.5))
    assert [finding.is_equal for finding in other.findings] == [True, False, False]
    assert not other.passes(1e9)


def test_those_of_the_whole_model_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    keep_checksums(summed(KEY, "layers [0, 4), [4, 8)", rows(layers=(3,))))
    keep_checksums(summed(KEY, "whole", rows()))
    keep_checksums(summed(KEY, "layers [0, 4), [4, 8)", rows(0.5)))
    found = kept_checksums(KEY)
    assert found == summed(KEY, "whole", rows())
    assert kept_checksums({**KEY, "processor": "Q"}) is None


def test_a_file_of_checksums_carries_them_to_another_machine(tmp_path: Path) -> None:
    path, sums = str(tmp_path / "sums.json"), summed(KEY, "whole", rows())
    save_checksums(sums, path)
    assert load_checksums(path, {**KEY, "processor": "Q"}) == sums
    for name in ("model_hash", "context", "steps", "version"):
        with pytest.raises(UsageError, match=f"made for another {name.replace('_', ' ')}"):
            load_checksums(path, {**KEY, name: "other"})


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"hidden": {"3": "zz"}},
        {"hidden": {"a": "0" * 64}},
        {"hidden": []},
        {"logits": 7},
        {"greedy": [1.5]},
        {"greedy": list(range(5000))},
        {"greedy": None},
        {"origin": "a\nb"},
        {"key": 1},
    ],
)
def test_hostile_checksums_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "sums.json"
    save_checksums(summed(KEY, "whole", rows()), str(path))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match="no checksums") as caught:
        load_checksums(str(path), KEY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "\x00"])
def test_what_is_no_file_of_checksums_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sums.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="write them with: cluster verify --save"):
        load_checksums(str(path), KEY)
