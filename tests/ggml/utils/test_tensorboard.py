"""Event files, read by TensorBoard itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.utils.tensorboard import SummaryWriter

pytest.importorskip("tensorboardX", reason="tensorboardX is not installed: pip install 'ggml-cluster[tensorboard]'")


def _read(folder: Path) -> Any:
    found = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    return found.EventAccumulator(str(folder), {"scalars": 0, "histograms": 0, "tensors": 0}).Reload()


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(500).astype(np.float32)
    with SummaryWriter(tmp_path) as writer:
        assert writer.get_logdir() == writer.log_dir == str(tmp_path)
        for step in range(5):
            writer.add_scalar("loss", ggml.tensor(1.0 / (step + 1), requires_grad=True), step, walltime=100.0 + step)
        writer.add_scalar("rate", 3)
        writer.add_scalars("both", {"train": ggml.tensor([0.5]), "test": np.float32(0.25)}, 7)
        writer.add_histogram("weights", ggml.tensor(values).to(ggml.bfloat16), 2)
        writer.add_text("notes", "**bold** ä", 3)
        writer.flush()
        events = _read(tmp_path)  # before the file is closed
        assert [one.step for one in events.Scalars("loss")] == list(range(5))
    writer.close()
    loss = events.Scalars("loss")
    np.testing.assert_allclose([one.value for one in loss], 1 / np.arange(1, 6), rtol=1e-6)
    assert [one.wall_time for one in loss] == [100.0, 101.0, 102.0, 103.0, 104.0]
    (histogram,) = events.Histograms("weights")
    told = histogram.histogram_value
    assert (histogram.step, told.num) == (2, 500) and sum(told.bucket) == 500
    assert told.sum == pytest.approx(float(ggml.tensor(values).bfloat16().float().numpy().astype(np.float64).sum()))
    (text,) = events.Tensors("notes/text_summary")
    assert text.step == 3 and text.tensor_proto.string_val[0].decode() == "**bold** ä"
    for name, value in (("train", 0.5), ("test", 0.25)):
        (found,) = _read(tmp_path / f"both_{name}").Scalars("both")
        assert (found.step, found.value) == (7, value)


def test_a_run_that_goes_on_replaces_what_was_after_it(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path, filename_suffix=".1") as writer:
        for step in range(6):
            writer.add_scalar("loss", step, step)
    with SummaryWriter(tmp_path, purge_step=3, filename_suffix=".2") as writer:
        writer.add_scalar("loss", 30, 3)
    assert [(one.step, one.value) for one in _read(tmp_path).Scalars("loss")] == [(0, 0), (1, 1), (2, 2), (3, 30)]


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    writer = SummaryWriter(tmp_path)
    with pytest.raises(ggml.ArgumentError, match="one number"):
        writer.add_scalar("x", ggml.ones(2))
    with pytest.raises(ggml.DTypeError, match="numbers"):
        writer.add_scalar("x", "3")
    with pytest.raises(ggml.DTypeError, match="a dict"):
        writer.add_scalars("x", [3])  # type: ignore[arg-type]
    with pytest.raises(ggml.ArgumentError, match="finite"):
        writer.add_histogram("x", ggml.tensor([1.0, float("nan")]))
    with pytest.raises(ggml.DTypeError, match="a string"):
        writer.add_text("x", 3)  # type: ignore[arg-type]
    writer.close()
    with pytest.raises(ggml.ArgumentError, match="closed"):
        writer.add_scalar("x", 1)


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ggml.UnsupportedOpError, match=r"pip install 'ggml-cluster\[tensorboard\]'"):
        SummaryWriter(tmp_path)
