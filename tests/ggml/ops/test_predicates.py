"""What is asked about tensors, and what writes over them, against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import torch

import ggml

DTYPES = ("float32", "float16", "bfloat16", "int32", "int64", "bool")


def test_limits() -> None:
    for name in DTYPES[:3]:
        found, expected = ggml.finfo(getattr(ggml, name)), torch.finfo(getattr(torch, name))
        for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution"):
            assert getattr(found, field) == getattr(expected, field), (name, field)
    for name in DTYPES[3:5]:
        found_integer, expected_integer = ggml.iinfo(getattr(ggml, name)), torch.iinfo(getattr(torch, name))
        for field in ("bits", "max", "min"):
            assert getattr(found_integer, field) == getattr(expected_integer, field), (name, field)
    with pytest.raises(TypeError):
        ggml.finfo(ggml.int32)
    with pytest.raises(TypeError):
        ggml.iinfo(ggml.float32)


def _types(library: Any) -> list[Any]:
    kinds = [getattr(library, name) for name in DTYPES]
    operands = [library.ones(shape).to(kind) for kind in kinds for shape in ((2,), ())]
    results = [str(library.result_type(a, b)) for a in operands for b in (*operands, 1, 1.5, True)]
    casts = [library.can_cast(a, b) for a in kinds for b in kinds]
    return [text.split(".")[1] for text in results] + casts


def test_types_of_results() -> None:
    assert _types(ggml) == _types(torch)


def test_shapes() -> None:
    assert tuple(ggml.broadcast_shapes((2, 1), (3,), 1, ())) == tuple(torch.broadcast_shapes((2, 1), (3,), 1, ()))
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.broadcast_shapes((2,), (3,))
    x = torch.randn(3, 2, 4)
    for size in ((1, 4), (3, 1, 1), (2, 4), (3, 2, 4), ()):
        found = ggml.from_dlpack(x).sum_to_size(size)
        torch.testing.assert_close(torch.from_numpy(found.numpy()), x.sum_to_size(size))
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.ones(2, 3).sum_to_size(2)


def test_questions() -> None:
    x = ggml.ones(2, 3)
    assert ggml.is_tensor(x)
    assert not ggml.is_tensor([1])
    assert ggml.numel(x) == 6
    assert (x.ndimension(), x.get_device(), x.is_cpu, x.storage_offset()) == (2, -1, True, 0)
    assert (x.is_signed(), x.bool().is_signed(), ggml.is_floating_point(x), ggml.is_complex(x)) == (
        True, False, True, False,
    )  # fmt: skip
    assert x.type() == "ggml.FloatTensor"
    assert x.type(ggml.int64).dtype is ggml.int64
    assert ggml.is_nonzero(ggml.tensor([2]))
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.is_nonzero(x)
    assert x.H.shape == x.mH.shape == x.adjoint().shape == (3, 2)
    assert [piece.shape[1] for piece in x.split_with_sizes([1, 2], 1)] == [1, 2]


def test_writing_over() -> None:
    x = ggml.arange(6.0).reshape(2, 3)
    before = x.clone()
    assert x.fill_(2).tolist() == [[2.0] * 3] * 2
    assert before.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert x.copy_(ggml.tensor([1, 2, 3])).tolist() == [[1.0, 2.0, 3.0]] * 2
    assert x.fill_diagonal_(7).tolist() == [[7.0, 2.0, 3.0], [1.0, 7.0, 3.0]]
    assert x.zero_().sum().item() == 0
    tall = torch.zeros(7, 3).fill_diagonal_(1, wrap=True)
    assert ggml.zeros(7, 3).fill_diagonal_(1, wrap=True).tolist() == tall.tolist()
    with pytest.raises(ggml.ShapeMismatchError):
        x.copy_(ggml.ones(4))


def test_random_fillings() -> None:
    ggml.manual_seed(0)
    x = ggml.empty(20000)
    assert x.uniform_(-1, 3).mean().item() == pytest.approx(1, abs=0.05)
    assert (x.amin().item() >= -1, x.amax().item() < 3) == (True, True)
    assert x.normal_(2, 3).std().item() == pytest.approx(3, rel=0.05)
    assert x.exponential_(2).mean().item() == pytest.approx(0.5, rel=0.05)
    assert x.bernoulli_(0.25).mean().item() == pytest.approx(0.25, abs=0.02)
    assert x.random_(3, 6).mean().item() == pytest.approx(4, abs=0.05)
    assert sorted(set(ggml.zeros(500, dtype=ggml.int64).random_(2).tolist())) == [0, 1]
    for wrong in (
        lambda: x.uniform_(2, 1),
        lambda: x.normal_(0, -1),
        lambda: x.bernoulli_(2.0),
        lambda: x.random_(3, 3),
    ):
        with pytest.raises(ggml.ArgumentError):
            wrong()


def test_drawn_places() -> None:
    ggml.manual_seed(0)
    weights = ggml.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 2.0]])
    places = weights.multinomial(8000, replacement=True)
    share = [places[row].eq(2).float().mean().item() for row in (0, 1)]
    assert share == pytest.approx([0.75, 0.5], abs=0.03)
    assert not bool(places[0].eq(1).any())
    firsts = ggml.tensor([[1.0, 3.0]] * 4000).multinomial(2)
    assert firsts.sum(1).eq(1).all().item()
    assert firsts[:, 0].float().mean().item() == pytest.approx(0.75, abs=0.03)
    with pytest.raises(ggml.ArgumentError):
        weights.multinomial(4)
    soft = ggml.nn.functional.gumbel_softmax(ggml.tensor([[0.0, 1.0]] * 4000), hard=True).mean(0)
    assert soft.tolist() == pytest.approx([0.269, 0.731], abs=0.03)
