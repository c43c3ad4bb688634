"""The example of digits learns, and a run that was stopped ends where the other one does."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ggml.data.datasets import MNIST
from ggml.examples import digits
from ggml.examples.drawn_digits import write_digits


def test_it_learns_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = write_digits(tmp_path / "data", 2560, 400)
    lines: list[str] = []
    whole = digits.train(data, tmp_path / "whole", 3, lines.append)
    assert whole > 0.95
    assert len(lines) == 3
    # The last epoch again, from the checkpoint of the one before.
    (tmp_path / "whole" / "checkpoint-00000003.gguf").unlink()
    again: list[str] = []
    assert digits.train(data, tmp_path / "whole", 3, again.append) == whole
    assert again == lines[2:]


def test_the_files_are_mnists(tmp_path: Path) -> None:
    write_digits(tmp_path, 30, 20)
    found = MNIST(tmp_path, as_array=True)
    assert (found.data.shape, found.data.dtype, len(MNIST(tmp_path, False, as_array=True))) == (
        (30, 28, 28),
        np.uint8,
        20,
    )
