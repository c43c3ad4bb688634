"""Buffers that calls write rows into: where they lie, unless somebody looks at them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

from torch import nn  # noqa: E402

import ggml  # noqa: E402


class Cache(nn.Module):
    """Rows that are put at places of an axis, and the sum of all rows that there are."""

    def __init__(self, shape: tuple[int, ...], dim: int, way: str = "index_copy", dtype: Any = torch.float32) -> None:
        super().__init__()
        self.dim, self.way = dim, way
        self.register_buffer("rows", torch.zeros(*shape, dtype=dtype))

    def forward(self, rows: Any, places: Any) -> Any:
        if self.way == "index_copy":
            self.rows.index_copy_(self.dim, places, rows)
        else:
            self.rows[(*[slice(None)] * self.dim, places)] = rows
        return self.rows.float().sum(self.dim)


def lowered(model: nn.Module, *arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about torch
        return ggml.export.lower(torch.export.export(model.eval(), arguments), require="ggml")


def memory(program: Any) -> Any:
    """What the state lies in, without looking at it as a user would."""
    return program.state.read("rows").buffer()


CASES = [
    ((2, 3, 8, 4), 2, "index_copy", torch.float32), ((2, 8, 3, 4), 1, "index_copy", torch.float32),
    ((8, 4), 0, "index_copy", torch.float32), ((2, 4, 8), 2, "index_copy", torch.float32),
    ((8,), 0, "index_copy", torch.float32), ((2, 3, 8, 4), 2, "index_put", torch.float32),
    ((8, 4), 0, "index_put", torch.float32), ((2, 3, 8, 4), 2, "index_copy", torch.float16),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "dim", "way", "dtype"), CASES)
def test_rows_are_written_into_the_memory_that_is_there(shape: Any, dim: int, way: str, dtype: Any) -> None:
    model = Cache(shape, dim, way, dtype)
    rows = torch.randn(*shape[:dim], 2, *shape[dim + 1 :]).to(dtype)
    program = lowered(model, rows, torch.tensor([0, 1]))
    buffers = []
    for places in ([3, 1], [7, 6], [0, 3]):
        given = (torch.randn(rows.shape).to(dtype), torch.tensor(places))
        wanted = model(*given)
        np.testing.assert_allclose(program(*given).numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
        buffers.append(memory(program))
    assert all(one is buffers[0] for one in buffers)
    assert program.num_recordings == 1
    np.testing.assert_array_equal(program.state["rows"].numpy(), model.rows.numpy())


def test_a_state_that_somebody_has_does_not_change() -> None:
    program = lowered(Cache((4, 2), 0), torch.ones(1, 2), torch.tensor([0]))
    program(torch.ones(1, 2), torch.tensor([1]))
    kept = program.state["rows"]
    before = kept.tolist()
    program(torch.full((1, 2), 5.0), torch.tensor([2]))
    assert kept.tolist() == before
    assert program.state["rows"].tolist() != before
    program.state["rows"] = kept
    assert program(torch.ones(1, 2), torch.tensor([0])).tolist() == [2.0, 2.0]
    assert kept.tolist() == before


def test_reset_and_first_values() -> None:
    program = lowered(Cache((4, 2), 0), torch.ones(1, 2), torch.tensor([0]))
    for _ in range(2):
        assert program(torch.ones(1, 2), torch.tensor([3])).tolist() == [1.0, 1.0]
        assert program(torch.ones(1, 2), torch.tensor([2])).tolist() == [2.0, 2.0]
        program.reset()
        assert program.state["rows"].tolist() == [[0.0, 0.0]] * 4


def test_a_file_has_the_state_and_is_not_written_to(tmp_path: Path) -> None:
    program = lowered(Cache((4, 2), 0), torch.ones(1, 2), torch.tensor([0]))
    program(torch.ones(1, 2), torch.tensor([3]))
    program.save(tmp_path / "cache.ggp")
    content = (tmp_path / "cache.ggp").read_bytes()
    for _ in range(2):
        again = ggml.load_program(tmp_path / "cache.ggp")
        assert again(np.ones((1, 2), np.float32), np.array([0])).tolist() == [2.0, 2.0]
    assert (tmp_path / "cache.ggp").read_bytes() == content


@pytest.mark.parametrize("way", ["index_copy", "index_put"])
def test_a_place_outside_writes_nothing(way: str) -> None:
    program = lowered(Cache((4, 2), 0, way), torch.ones(2, 2), torch.tensor([0, 1]))
    program(torch.ones(2, 2), torch.tensor([0, 1]))
    for bad in ([2, 4], [-5, 0]):
        with pytest.raises(ggml.IndexOutOfRangeError):
            program(torch.full((2, 2), 9.0), torch.tensor(bad))
        assert program.state["rows"].tolist() == [[1.0, 1.0]] * 2 + [[0.0, 0.0]] * 2


def test_a_state_that_is_read_before_is_copied() -> None:
    class Before(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("rows", torch.zeros(4, 2))

        def forward(self, rows: Any, places: Any) -> Any:
            old = self.rows * 2
            self.rows.index_copy_(0, places, rows)
            return old.sum() + self.rows.sum()

    program = lowered(Before(), torch.ones(1, 2), torch.tensor([0]))
    assert program(torch.ones(1, 2), torch.tensor([3])).item() == 2
    assert program(torch.ones(1, 2), torch.tensor([2])).item() == 8


def test_two_writes_and_a_state_as_a_result() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("rows", torch.zeros(4, 2))

        def forward(self, rows: Any, places: Any) -> Any:
            self.rows.index_copy_(0, places, rows)
            self.rows.index_copy_(0, places + 1, rows * 2)
            return self.rows.clone()

    program = lowered(Twice(), torch.ones(1, 2), torch.tensor([0]))
    first = program(torch.ones(1, 2), torch.tensor([1]))
    assert first.tolist() == [[0.0] * 2, [1.0] * 2, [2.0] * 2, [0.0] * 2]
    program(torch.full((1, 2), 3.0), torch.tensor([0]))
    assert first.tolist() == [[0.0] * 2, [1.0] * 2, [2.0] * 2, [0.0] * 2]
    assert program.state["rows"].tolist() == [[3.0] * 2, [6.0] * 2, [2.0] * 2, [0.0] * 2]


def test_states_are_checked() -> None:
    program = lowered(Cache((4, 2), 0), torch.ones(1, 2), torch.tensor([0]))
    with pytest.raises(ggml.StateDictError, match="unexpected keys: other"):
        program.state["other"] = ggml.ones(4, 2)
    with pytest.raises(ggml.StateDictError, match=r"\(4, 3\) instead of"):
        program.state["rows"] = ggml.ones(4, 3)
    with pytest.raises(ggml.ArgumentError, match="belongs to the program"):
        del program.state["rows"]
    assert list(program.state) == ["rows"]
