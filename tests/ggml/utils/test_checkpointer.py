"""A run that stops and goes on computes the bits of one that does not; what is damaged says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn
from ggml.io.nested import load_nested, save_nested
from ggml.optim import lr_scheduler, swa_utils
from ggml.utils import Checkpointer, EarlyStopping
from tests.ggml.optim.test_optimizers import SCHEDULES

DATA = np.random.default_rng(0).standard_normal((64, 6)).astype(np.float32)


class Sampler:
    """A sampler that says where it is: epochs of a shuffled order, from a generator of its own."""

    def __init__(self) -> None:
        self.generator = ggml.Generator().manual_seed(5)
        self.order: list[int] = []

    def __next__(self) -> list[int]:
        if len(self.order) < 8:
            self.order = ggml.randperm(64, generator=self.generator).tolist()
        taken, self.order = self.order[:8], self.order[8:]
        return taken

    def state_dict(self) -> dict[str, Any]:
        return {"order": list(self.order), "place": self.generator.snapshot()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order = list(state["order"])
        self.generator.restore(state["place"])


class Run:
    """A model with all that draws random numbers or keeps a state, and a step of its training."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
        params = [{"params": self.model[0].parameters(), "lr": 0.02}, {"params": self.model[4].parameters()}]
        settings = {"momentum": 0.9} if kind == "SGD" else {}
        self.optimizer = getattr(ggml.optim, kind)(params, lr=0.01, **settings)
        self.scheduler = lr_scheduler.SequentialLR(
            self.optimizer,
            [lr_scheduler.LinearLR(self.optimizer, 0.1, 1.0, 4), lr_scheduler.MultiStepLR(self.optimizer, [3, 9])],
            [4],
        )
        self.sampler = Sampler()
        self.average = swa_utils.AveragedModel(self.model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
        self.noise = ggml.Generator().manual_seed(9)
        self.loss = ggml.metrics.Mean()
        self.checkpointer = Checkpointer(
            folder, keep=2, model=self.model, optimizer=self.optimizer, scheduler=self.scheduler,
            sampler=self.sampler, average=self.average, noise=self.noise, loss=self.loss,
        )  # fmt: skip

    def step(self) -> None:
        x = ggml.tensor(DATA[next(self.sampler)])
        x = x + 0.1 * ggml.randn(8, 6, generator=self.noise)
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), x[:, :3].argmax(1))
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.average.update_parameters(self.model)
        self.loss.update(loss)

    def bits(self) -> list[Any]:
        states = [self.model.state_dict(), self.average.state_dict()]
        states += list(self.optimizer.state_dict()["state"].values())
        tensors = [one for state in states for one in state.values() if isinstance(one, ggml.Tensor)]
        return [*[one.raw_bytes() for one in tensors], self.loss.compute(), self.scheduler.get_last_lr()]


@pytest.mark.parametrize("kind", ["AdamW", "SGD", "NAdam"])
def test_going_on_is_exact_to_the_bit(tmp_path: Path, kind: str) -> None:
    ggml.manual_seed(1)
    straight = Run(tmp_path / "a", kind)
    first = Run(tmp_path / "b", kind)
    first.model.load_state_dict(straight.model.state_dict())
    first.average.load_state_dict(straight.average.state_dict())
    ggml.manual_seed(2)
    for _ in range(20):
        straight.step()
    ggml.manual_seed(2)
    for _ in range(10):
        first.step()
    first.checkpointer.save(10)
    ggml.manual_seed(3)
    again = Run(tmp_path / "b", kind)
    assert again.checkpointer.restore() == 10
    assert again.bits() == first.bits()
    for _ in range(10):
        again.step()
    assert again.bits() == straight.bits()
    assert ggml.initial_seed() == 2
    for name, value in again.model.state_dict().items():  # nothing lies in the file any more
        assert value.dtype is straight.model.state_dict()[name].dtype


def _plain(folder: Path, **more: Any) -> tuple[nn.Linear, Checkpointer]:
    model = nn.Linear(3, 2)
    return model, Checkpointer(folder, model=model, **more)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    model, checkpointer = _plain(tmp_path / "new" / "folder", keep=2)
    assert checkpointer.latest() is None and checkpointer.restore() is None and checkpointer.steps() == []
    for step in (5, 30, 200):
        with ggml.no_grad():
            model.bias.fill_(step)
        assert checkpointer.save(step) == checkpointer.latest()
    (checkpointer.folder / ".checkpoint-00000007.gguf.abc.tmp").write_bytes(b"left by a process that died")
    (checkpointer.folder / "checkpoint-x.gguf").write_bytes(b"not ours")
    checkpointer.save(200)
    assert checkpointer.steps() == [30, 200]
    assert sorted(one.name for one in checkpointer.folder.iterdir()) == [
        "checkpoint-00000030.gguf", "checkpoint-00000200.gguf", "checkpoint-x.gguf",
    ]  # fmt: skip
    assert checkpointer.restore(30) == 30 and model.bias.tolist() == [30, 30]
    with pytest.raises(FileNotFoundError, match="00000031"):
        checkpointer.restore(31)


def _cut(raw: bytes) -> bytes:
    return raw[:-5]


def _flipped(raw: bytes) -> bytes:
    at = raw.rindex(np.float32(7).tobytes())
    return raw[:at] + b"\1" + raw[at + 1 :]


def _other_text(raw: bytes) -> bytes:
    return raw.replace(b'["step", 7]', b'["step", 8]')


@pytest.mark.parametrize("damage", [_cut, _flipped, _other_text, lambda raw: b"", lambda raw: bytes(len(raw))])
def test_damage_is_reported(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    model, checkpointer = _plain(tmp_path)
    for step in (6, 7):
        with ggml.no_grad():
            model.weight.fill_(step)
        newest = checkpointer.save(step)
    raw = newest.read_bytes()
    damaged = damage(raw)
    assert damaged != raw
    newest.write_bytes(damaged)
    with ggml.no_grad():
        model.weight.fill_(0)
    with pytest.raises(ggml.FileFormatError, match="checkpoint-00000007"):
        checkpointer.restore()
    assert model.weight.sum().item() == 0
    with pytest.warns(UserWarning, match="checkpoint-00000007.*the checkpoint before it is taken"):
        assert checkpointer.restore(fall_back=True) == 6
    assert model.weight.tolist() == [[6.0] * 3] * 2
    checkpointer.path(6).write_bytes(b"")
    with pytest.raises(ggml.FileFormatError), pytest.warns(UserWarning):
        checkpointer.restore(fall_back=True)


def test_a_failed_save_leaves_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, checkpointer = _plain(tmp_path, keep=1)
    checkpointer.save(1)

    def no_space(*_: Any) -> None:
        raise OSError(28, "no space left")

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, no_space)
            with pytest.raises(OSError, match="no space"):
                checkpointer.save(2)
    assert os.listdir(tmp_path) == ["checkpoint-00000001.gguf"] and checkpointer.restore() == 1


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    model, checkpointer = _plain(tmp_path)
    checkpointer.save(1)
    with pytest.raises(ggml.StateDictError, match="missing keys: stopping"):
        _plain(tmp_path, stopping=EarlyStopping())[1].restore()
    other = nn.Linear(3, 2)
    before = other.weight.tolist()
    with pytest.raises(ggml.StateDictError, match="unexpected keys: model"):
        Checkpointer(tmp_path, net=other).restore()
    first = Checkpointer(tmp_path / "two", a=model, b=nn.Linear(4, 4))
    first.save(1)
    ggml.manual_seed(4)
    with pytest.raises(ggml.StateDictError, match="size mismatch"):
        Checkpointer(tmp_path / "two", a=other, b=nn.Linear(5, 5)).restore()
    assert other.weight.tolist() == before and ggml.initial_seed() == 4
    ggml.save({"x": ggml.ones(1)}, checkpointer.path(2))
    with pytest.raises(ggml.FileFormatError, match="no nested state"):
        checkpointer.restore()
    save_nested({"step": 3}, checkpointer.path(3))
    with pytest.raises(ggml.FileFormatError, match="not one that a Checkpointer wrote"):
        checkpointer.restore()
    with pytest.raises(ggml.DTypeError, match="state_dict and load_state_dict as loader"):
        Checkpointer(tmp_path, loader=[1])  # type: ignore[arg-type]
    for wrong in (lambda: Checkpointer(tmp_path), lambda: Checkpointer(tmp_path, keep=0, model=model)):
        with pytest.raises(ggml.ArgumentError):
            wrong()
    with pytest.raises(ggml.ArgumentError, match="step"):
        checkpointer.save(-1)


def test_nested_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    state = {
        "a": [1, -2.5, float("inf"), None, True, "ä", ()],
        1: {"1": ggml.ones(2, 3), 1: ggml.zeros(2).half()},
        "a.b": ggml.tensor([1, 2]),
        "long " * 99: {"b": ggml.tensor(3.0)},
        "arrays": [np.arange(5, dtype=np.uint64) << np.uint64(60), np.zeros((0, 3)), np.array([True])],
        "scalar": np.float32(0.1),
    }
    save_nested(state, path)
    found = load_nested(path)
    assert list(found) == list(state) and found["a"] == state["a"] and found["scalar"] == float(np.float32(0.1))
    assert found[1]["1"].tolist() == [[1.0] * 3] * 2 and found[1][1].dtype is ggml.float16
    assert found["a.b"].tolist() == [1, 2] and found["long " * 99]["b"].item() == 3
    for mine, theirs in zip(found["arrays"], state["arrays"], strict=True):  # type: ignore[call-overload]
        np.testing.assert_array_equal(mine, theirs)
        assert mine.dtype == theirs.dtype
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ggml.ArgumentError, match="it may hold itself"):
        save_nested(loop, path)
    for wrong, where in (({"f": len}, r"state\.f"), ([1, {2}], r"state\.1"), ({(1,): 2}, "keys of state")):
        with pytest.raises(ggml.DTypeError, match=where):
            save_nested(wrong, path)
    assert os.listdir(tmp_path) == ["x.gguf"]


@pytest.mark.parametrize("name", [*SCHEDULES, "ReduceLROnPlateau"])
def test_every_schedule_goes_on(tmp_path: Path, name: str) -> None:
    def fresh() -> tuple[Any, Any]:
        optimizer = ggml.optim.SGD([nn.Parameter(ggml.ones(2))], lr=0.2, momentum=0.9)
        made = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1) if name[0] == "R" else None
        return optimizer, made or SCHEDULES[name](lr_scheduler, optimizer)

    def go(optimizer: Any, schedule: Any, steps: range) -> list[float]:
        seen = []
        for _ in steps:
            schedule.step(*[1.0] * (name[0] == "R"))
            seen.append(optimizer.param_groups[0]["lr"])
        return seen

    optimizer, schedule = fresh()
    go(optimizer, schedule, range(6))
    Checkpointer(tmp_path, optimizer=optimizer, schedule=schedule).save(6)
    other, again = fresh()
    Checkpointer(tmp_path, optimizer=other, schedule=again).restore()
    assert go(other, again, range(6, 14)) == go(optimizer, schedule, range(6, 14))
