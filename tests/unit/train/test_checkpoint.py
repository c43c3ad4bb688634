"""Checkpoints that several ranks write, and others load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.train.ranks import Ranks

pytestmark = pytest.mark.native


def _parts(kind: str, seed: int) -> tuple[Any, Any]:
    import ggml
    from cluster import train
    from ggml import nn, optim

    ggml.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3))
    if kind == "sharded":
        train.fully_shard(model[0])
        train.fully_shard(model)
    if kind == "zero":
        return model, train.ZeroRedundancyOptimizer(model.parameters(), optim.AdamW, lr=0.01)
    return model, optim.AdamW(model.parameters(), lr=0.01)


def _step(model: Any, optimizer: Any) -> None:
    """With the same batch on every rank, so that any number of them takes the same step."""
    import ggml

    ggml.manual_seed(9)
    optimizer.zero_grad()
    (model(ggml.randn(8, 5)) ** 2).mean().backward()
    optimizer.step()


def _weights(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    from cluster import train

    return {name: np.array(one.numpy()) for name, one in train.get_model_state_dict(model).items()}


def saved(kind: str, folder: str) -> tuple[Any, Any]:
    """The weights of when it was saved, and those one step later."""
    from cluster import train

    model, optimizer = _parts(kind, 1)
    for _ in range(3):
        _step(model, optimizer)
    train.checkpoint.save({"model": model, "optimizer": optimizer, "step": 3, "seen": [1, {"a": 2.5}]}, folder)
    now = _weights(model)
    _step(model, optimizer)
    return now, _weights(model)


def loaded(kind: str, folder: str) -> tuple[Any, Any, Any]:
    from cluster import train

    model, optimizer = _parts(kind, 2)
    state = {"model": model, "optimizer": optimizer, "step": 0, "seen": None}
    train.checkpoint.load(state, folder)
    now = _weights(model)
    _step(model, optimizer)
    return now, _weights(model), (state["step"], state["seen"])


@pytest.mark.parametrize(
    ("wrote", "kind", "num_ranks", "other_kind"),
    [(2, "sharded", 3, "sharded"), (3, "sharded", 1, "plain"), (2, "zero", 3, "zero"), (1, "plain", 2, "sharded")],
)
def test_another_number_of_ranks_goes_on_where_it_was(
    ranks: Ranks, tmp_path: Path, wrote: int, kind: str, num_ranks: int, other_kind: str
) -> None:
    folder = str(tmp_path / "run")
    wanted, wanted_next = ranks.run(wrote, saved, kind, folder)[0]
    for now, after_step, plain in ranks.run(num_ranks, loaded, other_kind, folder):
        assert plain == (3, [1, {"a": 2.5}])
        for name, one in wanted.items():
            np.testing.assert_array_equal(now[name], one)
            np.testing.assert_allclose(after_step[name], wanted_next[name], rtol=0, atol=1e-6)


def saved_twice(folder: str) -> tuple[list[str], list[str]]:
    """The files after each of two saves."""
    from cluster import train

    model, optimizer = _parts("sharded", 1)
    found = []
    for _ in range(2):
        train.checkpoint.save({"model": model, "optimizer": optimizer}, folder)
        train.barrier()  # all have listed the files before the next save removes them
        found.append(sorted(path.name for path in Path(folder).iterdir()))
        train.barrier()
    return found[0], found[1]


def test_each_rank_writes_a_share_and_a_second_save_takes_the_place_of_the_first(ranks: Ranks, tmp_path: Path) -> None:
    first, second = ranks.run(3, saved_twice, str(tmp_path))[0]
    assert len(first) == len(second) == 4
    assert set(first) & set(second) == {"index.gguf"}
    sizes = [path.stat().st_size for path in tmp_path.glob("part-*")]
    assert max(sizes) < 2 * min(sizes)


def failed(what: str, folder: str) -> str:
    """What is said, and that nothing has changed."""
    from cluster import train

    model, optimizer = _parts("sharded", 2)
    before = _weights(model)
    try:
        if what == "load":
            train.checkpoint.load({"model": model, "optimizer": optimizer}, folder)
        elif what == "other":
            train.checkpoint.load({"model": model[0], "elsewhere": 1}, folder)
        else:
            unknown = object() if train.get_rank() == 1 else 1
            train.checkpoint.save({"model": model, "unknown": unknown}, folder)
    except Exception as error:
        for name, one in _weights(model).items():
            np.testing.assert_array_equal(one, before[name])
        return f"{type(error).__name__}: {error}"
    return "nothing was wrong"


def test_damage_is_one_clear_error_and_changes_nothing(ranks: Ranks, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def said(what: str = "load") -> str:
        found = ranks.run(2, failed, what, folder)
        assert len(set(found)) == 1 or what == "save", found
        return found[1]

    assert "index.gguf: there is no such file: the folder holds no complete checkpoint" in said()
    ranks.run(2, saved, "sharded", folder)
    assert "rank 1: DTypeError" in said("save")
    assert len(list(tmp_path.iterdir())) == 3, "what a save that failed has written is gone"
    assert "StateDictError" in said("other")
    part = sorted(tmp_path.glob("part-*"))[0]
    whole = part.read_bytes()
    for place in (len(whole) - 100, len(whole) // 2):  # more bytes than lie between two tensors
        part.write_bytes(whole[:place] + bytes(one ^ 1 for one in whole[place : place + 80]) + whole[place + 80 :])
        assert re.match("FileFormatError: .*part-", said())
    part.write_bytes(whole[: len(whole) // 2])
    assert re.match("FileFormatError: .*part-", said())
    part.unlink()
    assert "is missing: the index of the checkpoint names it" in said()
    index = tmp_path / "index.gguf"
    index.write_bytes(index.read_bytes()[:-9] + b"\xff" * 9)
    assert re.match("FileFormatError: .*index.gguf", said())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ([[4], "float32", [["../../etc/passwd", 0, 4]]], "a place that is none"),
        ([[4], "float32", [["part-0123456789abcdef-00000.gguf", 0, 3]]], "has 3 of 4 elements"),
        ([[4], "float32", [["part-0123456789abcdef-00000.gguf", 1, 4]]], "has no element 0 once"),
        ([[4], "float32", [["part-0123456789abcdef-00000.gguf", 0, 4]] * 2], "has no element 4 once"),
        ([[1 << 60], "float32", []], "has no shape"),
        ([[-1], "float32", []], "has no shape"),
        (7, "has no shape"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path: Path, entry: Any, said: str) -> None:
    from cluster.train.checkpoint.index import read_index
    from ggml.core.errors import FileFormatError
    from ggml.io.nested import save_nested

    save_nested({"format": 1, "tensors": {"a": entry}, "values": {}}, tmp_path / "index.gguf")
    with pytest.raises(FileFormatError, match=said):
        read_index(tmp_path)
