"""Checkpoints of PyTorch: what comes back, and what is refused because it would run or make no sense."""

from __future__ import annotations

import collections
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.io.torch_zip.machine import Machine, Refused
from tests.ggml.both import torch


def _trained() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 5])
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
        scheduler.step()
    return model, optimizer, scheduler


def test_training_goes_on_where_torch_stopped(tmp_path: Path) -> None:
    model, optimizer, scheduler = _trained()
    path = tmp_path / "x.pt"
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    torch.save({"step": 3, **{name: part.state_dict() for name, part in parts.items()}}, path)
    found = ggml.load(path, map_location="cpu", weights_only=True)
    assert found["step"] == 3 and type(found["model"]) is collections.OrderedDict
    mine = ggml.nn.Sequential(ggml.nn.Linear(4, 3, bias=False), ggml.nn.BatchNorm1d(3), ggml.nn.Linear(3, 2))
    mine.load_state_dict(found["model"])
    updater = ggml.optim.AdamW(mine.parameters())
    updater.load_state_dict(found["optimizer"])
    schedule = ggml.optim.lr_scheduler.MultiStepLR(updater, [2, 5])
    schedule.load_state_dict(found["scheduler"])
    assert updater.param_groups[0]["betas"] == (0.9, 0.999) and schedule.milestones == collections.Counter([2, 5])
    x = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    for library, net, step in ((torch, model, optimizer), (ggml, mine, updater)):
        step.zero_grad()
        net(library.from_numpy(x)).square().sum().backward()
        step.step()
    for one, other in zip(mine.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_everything_plain_comes_back(tmp_path: Path) -> None:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    given = {
        "numbers": [1, -2, 300, 70000, 2**70, -(2**70), 2.5, float("inf"), True, False, None],
        "texts": ("ä", "", b"\x00\xff"),
        3: {"nested": collections.OrderedDict(a=1)},
        "size": torch.Size([2, 3]),
        "dtype": torch.bfloat16,
        "set": {1, "x"},
        "views": [base, base[1:, ::2], base.t(), base[2], base[:0], torch.tensor(3.0)],
        "half": torch.ones(2).half(),
        "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "ints": [torch.tensor([-3, 7], dtype=getattr(torch, name)) for name in ("int8", "int16", "int32", "int64")],
        "bytes": torch.tensor([255], dtype=torch.uint8),
        "bools": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    path = tmp_path / "x.pt"
    torch.save(given, path)
    found = ggml.load(path)
    assert list(found) == list(given)
    for name in ("numbers", "texts", 3, "set"):
        assert found[name] == given[name]
    assert found["size"] == (2, 3) and found["dtype"] is ggml.bfloat16
    for mine, theirs in zip(found["views"], given["views"], strict=True):  # type: ignore[call-overload]
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    assert found["half"].dtype is ggml.float16 and found["brain"].dtype is ggml.bfloat16
    assert found["brain"].float().tolist() == [1.5, -2.0] and found["bytes"].tolist() == [255]
    assert [one.tolist() for one in found["ints"]] == [[-3, 7]] * 4
    assert [one.dtype.name for one in found["ints"]] == ["int32", "int32", "int32", "int64"]
    assert found["bools"].tolist() == [True, False] and found["parameter"].requires_grad


def _saved(path: Path, value: Any) -> None:
    torch.save(value, path)


class _Runs:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def _function(x: Any) -> Any:
    return x


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "a call": (lambda: {"x": _Runs()}, r"asks for 'posix\.system'"),
    "a module": (lambda: torch.nn.Linear(1, 1), r"asks for 'torch\.nn\.modules\.linear\.Linear'"),
    "a function": (lambda: [_function], r"asks for 'tests\..*_function'"),
    "an array of numpy": (lambda: np.ones(2), r"asks for 'numpy"),
    "float64": (lambda: torch.ones(2, dtype=torch.float64), "float64.*save it as float32"),
    "complex numbers": (lambda: torch.ones(2, dtype=torch.complex64), r"asks for 'torch\.ComplexFloatStorage'"),
    "expanded": (lambda: torch.ones(1).expand(10**6, 10**6), "in a storage of 1 elements"),
    "a tuple as key": (lambda: {(1, 2): 3}, "key of type tuple"),
    "nine axes": (lambda: torch.ones([1] * 9), "at most 8"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_everything_else_is_refused_by_name(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make, why = HOSTILE[kind]
    path = tmp_path / "x.pt"
    _saved(path, make())
    with pytest.raises(ggml.FileFormatError, match=why) as caught:
        ggml.load(path, weights_only=False)
    assert str(path) in str(caught.value) and os.listdir(tmp_path) == ["x.pt"]


def _archive(path: Path, raw: bytes, storage: bytes = bytes(16), how: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("a/data.pkl", raw)
        archive.writestr("a/data/0", storage)


def _tensor(shape: str, strides: str, offset: int = 0, count: int = 4) -> bytes:
    """A pickle of one tensor, in the text of opcodes. Numbers are those of BININT."""

    def number(value: int) -> bytes:
        return b"\x8a\x08" + struct.pack("<q", value)

    def numbers(text: str) -> bytes:
        return b"(" + b"".join(number(int(one)) for one in text.split()) + b"t"

    word = b"X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"
    return (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((" + word + number(count) + b"tQ" + number(offset)
            + numbers(shape) + numbers(strides) + b"\x89NtR.")  # fmt: skip


def test_a_pickle_by_hand_is_read(tmp_path: Path) -> None:
    _archive(tmp_path / "x.pt", _tensor("2 2", "2 1"), np.arange(4, dtype=np.float32).tobytes())
    assert ggml.load(tmp_path / "x.pt").tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    "raw",
    [
        _tensor("5", "1"), _tensor("2 2", "3 1"), _tensor("4", "1", 1), _tensor("4", "-1", 3), _tensor("-4", "1"),
        _tensor("2 2", "1"), _tensor("4", "1", 0, 5), _tensor("4", "1", -1), _tensor("4", "4611686018427387900"),
        b"", b".", b"\x80\x02", b"\x80\x09N.", b"}", b"0", b"(((((.", b"NR.", b"N)R.", b"]NNs.", b"h\x05.", b"](e",
        b"Nb.", b"X\xff\xff\xff\x7fx.", b"X\x01\0\0\0\xff.", b"ctorch\n", b"cos\nsystem\n(X\x04\0\0\0truetR.", b"u.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.", b"}}Ns.", b"](NNu.", b"NQ.", b"r\xff\xff\xff\xff.", b"(t(t(tu.",
    ],
    ids=lambda raw: repr(raw)[-24:],
)  # fmt: skip
def test_hostile_pickles_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.pt"
    _archive(path, raw)
    with pytest.raises(ggml.FileFormatError) as caught:
        ggml.load(path)
    assert len(str(caught.value)) < 600


def test_every_prefix_and_flipped_byte_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"a": torch.ones(3), "b": [1, "x"]}, path)
    with zipfile.ZipFile(path) as archive:
        raw = archive.read("x/data.pkl")
    machine = Machine({}, {}, lambda name: name)
    for at in range(len(raw)):
        for changed in (raw[:at], raw[:at] + bytes([raw[at] ^ 0x15]) + raw[at + 1 :]):
            _archive(path, changed)
            try:
                ggml.load(path)
            except ggml.FileFormatError:
                continue
    with pytest.raises(Refused):
        machine.run(pickle.dumps(_function))


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    good = _tensor("2 2", "2 1")
    cases: list[Callable[[], None]] = [
        lambda: _archive(path, good, how=zipfile.ZIP_DEFLATED),
        lambda: _archive(path, good, bytes(12)),
        lambda: path.write_bytes(b"PK\x03\x04" + bytes(100)) and None,
        lambda: path.write_bytes(pickle.dumps({"a": 1}, 2)) and None,
    ]
    for case in cases:
        case()
        with pytest.raises(ggml.FileFormatError):
            ggml.load(path)
    # One storage that many tensors show: a file of 1 MB would take 1 GB.
    one = _tensor("200000", "1", 0, 200000)[2:-1]
    _archive(path, b"\x80\x02](" + one * 400 + b"e.", bytes(800000))
    with pytest.raises(ggml.FileFormatError, match="16 times the file's size"):
        ggml.load(path)
    _archive(path, good)
    raw = bytearray(path.read_bytes())
    raw[raw.index(bytes(16))] = 1
    path.write_bytes(raw)
    with pytest.raises(ggml.FileFormatError, match="no sound zip"):
        ggml.load(path)
    with pytest.raises(ggml.ArgumentError):
        _archive(path, good)
        ggml.load(path, map_location="nowhere")
