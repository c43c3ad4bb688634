"""Datasets, samplers and batches beside those of ``torch.utils.data``."""

from __future__ import annotations

import collections
import json
from typing import Any

import numpy as np
import pytest

import ggml
from ggml import data

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
theirs = torch.utils.data
Point = collections.namedtuple("Point", "x y")


def plain(value: Any) -> Any:
    """Tensors of either library as lists, containers as they are."""
    if isinstance(value, (ggml.Tensor, torch.Tensor)):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        made = [plain(one) for one in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value


def both(x: Any) -> tuple[Any, Any]:
    return ggml.tensor(x), torch.tensor(x)


def test_datasets_by_index() -> None:
    (x, tx), (y, ty) = both([[1.0, 2], [3, 4], [5, 6]]), both([7, 8, 9])
    ours, other = data.TensorDataset(x, y), theirs.TensorDataset(tx, ty)
    assert len(ours) == 3 and plain(ours[1]) == plain(other[1])
    for dtype in (ggml.bfloat16, ggml.bool):
        several = data.TensorDataset(x.to(dtype), y).__getitems__([2, -3])
        assert plain(several) == [(x[2].to(dtype).tolist(), 9), (x[0].to(dtype).tolist(), 7)]
    with pytest.raises(IndexError, match="index 3 is outside of 3 samples"):
        ours.__getitems__([0, 3])
    joined, other_joined = ours + data.Subset(ours, [2, 0]), other + theirs.Subset(other, [2, 0])
    assert [plain(joined[i]) for i in range(-5, 5)] == [plain(other_joined[i]) for i in range(-5, 5)]
    with pytest.raises(IndexError, match="outside of 5 samples"):
        joined[5]
    assert plain(data.Subset(joined, [4, 1]).__getitems__([1, 0])) == [plain(joined[1]), plain(joined[4])]
    with pytest.raises(ggml.ShapeMismatchError, match="equally many rows"):
        data.TensorDataset(x, y[:2])


def test_datasets_beside_each_other() -> None:
    (x, tx), names = both([[1.0, 2], [3, 4], [5, 6]]), ["a", "b", "c"]
    for ours, other in (
        (data.StackDataset(data.TensorDataset(x), names), theirs.StackDataset(theirs.TensorDataset(tx), names)),
        (
            data.StackDataset(x=data.TensorDataset(x), name=names),
            theirs.StackDataset(x=theirs.TensorDataset(tx), name=names),
        ),
    ):
        assert len(ours) == len(other) == 3
        assert plain(ours[1]) == plain(other[1])
        assert plain(ours.__getitems__([2, 0])) == plain(other.__getitems__([2, 0]))
        assert plain(list(data.DataLoader(ours, 2))) == plain(list(theirs.DataLoader(other, 2)))
    with pytest.raises(ggml.ShapeMismatchError, match="equally many samples"):
        data.StackDataset(names, names[:2])
    for wrong in ({}, {"args": (names,), "name": names}):
        with pytest.raises(ggml.GgmlError, match="either in order or by name"):
            data.StackDataset(*wrong.pop("args", ()), **wrong)


def test_streams_are_chained() -> None:
    class Some(data.IterableDataset[int]):
        def __iter__(self) -> Any:
            return iter([1, 2, 3])

    assert list(Some() + Some()) == [1, 2, 3, 1, 2, 3]
    assert plain(list(data.DataLoader(Some() + Some(), 4))) == [[1, 2, 3, 1], [2, 3]]
    assert plain(list(data.DataLoader(Some() + Some(), 4, drop_last=True))) == [[1, 2, 3, 1]]
    with pytest.raises(ggml.DTypeError, match="ChainDataset takes streams"):
        data.ConcatDataset([Some()])
    with pytest.raises(ggml.ArgumentError, match="order of its own"):
        data.DataLoader(Some(), shuffle=True)


@pytest.mark.parametrize("lengths", [[7, 3], [0.7, 0.3], [0.35, 0.35, 0.3], [0.5, 0.25], [1.0], [3, 3, 4]])
def test_random_split(lengths: list[float]) -> None:
    try:
        want = [len(one) for one in theirs.random_split(range(10), lengths)]
    except ValueError:
        with pytest.raises(ValueError, match="the dataset has 10 samples"):
            data.random_split(range(10), lengths)  # type: ignore[arg-type]
        return
    parts = data.random_split(range(10), lengths, ggml.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert [len(one) for one in parts] == want
    assert sorted(i for one in parts for i in one.indices) == list(range(10))
    again = data.random_split(range(10), lengths, ggml.Generator().manual_seed(1))  # type: ignore[arg-type]
    assert [one.indices for one in parts] == [one.indices for one in again]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("replicas", [1, 3, 4, 25])
def test_orders_that_draw_nothing(drop_last: bool, replicas: int) -> None:
    source = range(11)
    inner, other = data.SequentialSampler(source), theirs.SequentialSampler(source)
    ours = data.BatchSampler(inner, replicas, drop_last)
    want = theirs.BatchSampler(other, replicas, drop_last)
    assert list(ours) == list(want) and len(ours) == len(want)
    for rank in range(replicas):
        part = data.DistributedSampler(source, replicas, rank, shuffle=False, drop_last=drop_last)
        asked = theirs.DistributedSampler(source, replicas, rank, shuffle=False, drop_last=drop_last)
        assert list(part) == list(asked) and len(part) == len(asked) and part.total_size == asked.total_size


def test_replicas_share_one_order() -> None:
    parts = [data.DistributedSampler(range(9), 3, rank, seed=4) for rank in range(3)]
    once = [list(part) for part in parts]
    assert sorted(i for part in once for i in part) == list(range(9))
    parts[0].set_epoch(1)
    assert list(parts[0]) != once[0]
    kept = parts[0].state_dict()
    parts[1].load_state_dict(kept)
    assert parts[1].epoch == 1
    with pytest.raises(ggml.ArgumentError, match=r"rank must be in \[0, 3\)"):
        data.DistributedSampler(range(9), 3, 3)


def test_replicas_are_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ggml.ArgumentError, match="RANK is not set"):
        data.DistributedSampler(range(9))
    monkeypatch.setenv("RANK", "1")
    part = data.DistributedSampler(range(9), shuffle=False)
    assert (part.num_replicas, part.rank, list(part)) == (3, 1, [1, 4, 7])


def test_orders_that_are_drawn() -> None:
    ggml.manual_seed(0)
    assert sorted(data.RandomSampler(range(20))) == list(range(20))
    assert list(data.RandomSampler(range(20))) != list(data.RandomSampler(range(20)))
    long = list(data.RandomSampler(range(4), num_samples=10))
    assert len(long) == 10 and sorted(long[:4]) == sorted(long[4:8]) == [0, 1, 2, 3]
    drawn = list(data.RandomSampler(range(4), replacement=True, num_samples=400))
    assert all(70 < drawn.count(i) < 130 for i in range(4))
    assert sorted(data.SubsetRandomSampler([3, 5, 9])) == [3, 5, 9]
    generator = ggml.Generator().manual_seed(3)
    ours = data.RandomSampler(range(20), generator=generator)
    order = list(ours)
    state = ours.state_dict()
    assert list(ours) != order
    ours.load_state_dict(state)
    assert list(ours) == order


def test_weights() -> None:
    ggml.manual_seed(0)
    weights = [0.0, 1.0, 3.0, 0.0, 6.0]
    drawn = list(data.WeightedRandomSampler(weights, 4000))
    shares = np.bincount(drawn, minlength=5) / 4000
    assert np.abs(shares - np.array(weights) / 10).max() < 0.03 and shares[0] == shares[3] == 0
    firsts = []
    for _ in range(1000):
        order = list(data.WeightedRandomSampler(weights, 3, replacement=False))
        assert sorted(order) == [1, 2, 4]
        firsts.append(order[0])
    assert abs(firsts.count(4) / 1000 - 0.6) < 0.06
    for wrong in ([-1.0, 2], [0.0, 0], [float("nan"), 1]):
        with pytest.raises(ggml.ArgumentError, match="finite, not negative"):
            data.WeightedRandomSampler(wrong, 1)
    with pytest.raises(ggml.ArgumentError, match="more than there are weights above zero"):
        data.WeightedRandomSampler(weights, 4, replacement=False)


@pytest.mark.parametrize(
    "samples",
    [
        [1, 2, 3],
        [True, False],
        [1.5, 2.5],
        ["a", "b"],
        [b"a", b"b"],
        [{"x": 1, "y": [2.0, "t"]}, {"x": 3, "y": [4.0, "u"]}],
        [(1, 2.0), (3, 4.0)],
        [Point(1, 2.0), Point(3, 4.0)],
        [np.float32([1, 2]), np.float32([3, 4])],
        [np.float64(1.5), np.float64(2.5)],
        [np.uint8([1, 2]), np.uint8([3, 255])],
        [np.array([True]), np.array([False])],
    ],
)
def test_collating(samples: list[Any]) -> None:
    ours, want = data.default_collate(samples), theirs.default_collate(samples)
    assert plain(ours) == plain(want) and type(ours) is (ggml.Tensor if isinstance(want, torch.Tensor) else type(want))


def test_collating_tensors() -> None:
    rows = [[1.0, 2], [3, 4]]
    assert data.default_collate([ggml.tensor(row) for row in rows]).tolist() == rows
    halves = data.default_collate([ggml.tensor(row).to(ggml.bfloat16) for row in rows])
    assert (halves.dtype, halves.tolist()) == (ggml.bfloat16, rows)
    with pytest.raises(ggml.ShapeMismatchError, match="samples of one shape"):
        data.default_collate([ggml.ones(2), ggml.ones(3)])
    with pytest.raises(ggml.ShapeMismatchError, match="sequences of one length"):
        data.default_collate([(1, 2), (1,)])
    with pytest.raises(ggml.DTypeError, match="give a collate_fn"):
        data.default_collate([object()])
    assert data.default_collate([2**40]).dtype is ggml.int64


def test_loaders_in_one_process() -> None:
    x = [[float(i), -float(i)] for i in range(10)]
    ours, other = data.TensorDataset(ggml.tensor(x)), theirs.TensorDataset(torch.tensor(x))
    for options in (
        {"batch_size": 4},
        {"batch_size": 4, "drop_last": True},
        {"batch_size": None},
        {"sampler": [3, 1, 2], "batch_size": 2},
        {"batch_sampler": [[1, 2], [5]]},
    ):
        loader, want = data.DataLoader(ours, **options), theirs.DataLoader(other, **options)
        assert plain(list(loader)) == plain(list(want)) and len(loader) == len(want)
        assert plain(list(loader)) == plain(list(want))  # a second epoch
    assert plain(list(data.DataLoader(ours, 10, pin_memory=True))) == [[x]]
    assert list(data.DataLoader(range(3), 2, collate_fn=tuple)) == [(0, 1), (2,)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch_size": 0}, "batch_size must be a positive integer"),
        ({"num_workers": -1}, "num_workers must be an integer"),
        ({"prefetch_factor": 2}, "prefetch_factor needs num_workers"),
        ({"persistent_workers": True}, "persistent_workers needs num_workers"),
        ({"timeout": -1}, "timeout must be"),
        ({"shuffle": True, "sampler": [1]}, "shuffle and sampler"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler excludes"),
        ({"batch_size": None, "drop_last": True}, "drop_last has no meaning"),
    ],
)
def test_arguments_that_contradict(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ggml.ArgumentError, match=match):
        data.DataLoader(range(3), **options)  # type: ignore[arg-type]
    with pytest.raises((ValueError, AssertionError)):
        theirs.DataLoader(range(3), **options)


def test_the_seed_decides_the_order() -> None:
    def epochs() -> list[Any]:
        loader = data.DataLoader(range(8), 3, shuffle=True)  # type: ignore[arg-type]
        return plain([list(loader), list(loader)])

    ggml.manual_seed(2)
    once = epochs()
    ggml.manual_seed(2)
    assert epochs() == once and once[0] != once[1]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("num_yielded", [0, 1, 3, 4])
def test_going_on_after_a_stop(given: bool, num_yielded: int) -> None:
    """Also the epochs behind it are those that would have come, and nothing else is drawn on the way."""

    def loader() -> data.DataLoader[Any]:
        generator = ggml.Generator().manual_seed(9) if given else None
        return data.DataLoader(range(10), 3, shuffle=True, generator=generator)  # type: ignore[arg-type]

    ggml.manual_seed(4)
    whole = loader()
    list(whole)
    batches = iter(whole)
    for _ in range(num_yielded):
        next(batches)
    state, numbers = json.loads(json.dumps(whole.state_dict())), ggml.random.default_generator.snapshot()
    assert (state["epoch"], state["num_yielded"]) == (2, num_yielded)
    rest, then, drawn = plain(list(batches)), plain(list(whole)), ggml.rand(3).tolist()

    ggml.manual_seed(1234)
    again = loader()
    again.load_state_dict(state)
    ggml.random.default_generator.restore(numbers)
    assert (plain(list(again)), plain(list(again)), ggml.rand(3).tolist()) == (rest, then, drawn)
    assert again.state_dict()["epoch"] == 3


def test_states_that_do_not_fit() -> None:
    loader = data.DataLoader(range(10), 3, generator=ggml.Generator())  # type: ignore[arg-type]
    state = loader.state_dict()
    for wrong, match in (
        ({}, "lacks base_seed"),
        ({**state, "num_yielded": -1}, "num_yielded=-1"),
        ({**state, "generators": []}, "this loader has 1"),
        ({**state, "generators": [{"bit_generator": "MT19937"}]}, "a generator that is none"),
    ):
        with pytest.raises(ggml.ArgumentError, match=match):
            loader.load_state_dict(wrong)


def test_the_names_of_torch() -> None:
    from ggml.utils.data import DataLoader

    assert ggml.utils.data.DataLoader is data.DataLoader is DataLoader
    missing = set(data.__all__) - set(theirs.__all__) - {"WorkerInfo", "datasets"}
    assert not missing
