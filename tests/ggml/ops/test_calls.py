"""Calls as PyTorch's users spell them: one text, executed with PyTorch and with ggml, has the same result."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import ggml
from tests.ggml.both import names_of, torch
from tests.ggml.compare import assert_same

SHAPES = [
    "x.flip(dims=(0, 1))", "torch.flip(x, dims=(1,))", "x.permute(dims=(1, 0))", "torch.permute(x, dims=(1, 0))",
    "x.reshape(shape=(3, 2))", "torch.reshape(x, shape=(-1,))", "x.view(size=(6,))", "x.tile(dims=(2, 1))",
    "torch.tile(x, dims=(2,))", "x.repeat(repeats=(2, 1))", "x.expand(size=(4, 2, 3))", "x.sum_to_size(size=(1, 3))",
    "torch.tensor(3).sum_to_size(())", "torch.ones(3, dtype=torch.bool).sum_to_size(())",
]  # fmt: skip

FORMS = [
    "x.split(split_size=2, dim=1)", "torch.split(x, split_size_or_sections=1)", "torch.tensor_split(x, sections=2)",
    "x.tensor_split(indices=(1,), dim=1)", "torch.hsplit(x, sections=3)", "x.vsplit(indices=(1,))",
    "torch.tensor_split(x, tensor_indices_or_sections=torch.tensor([1]), dim=1)", "x.swapaxes(axis0=0, axis1=1)",
    "torch.swapaxes(x, axis0=0, axis1=1)", "torch.transpose(x, dim0=0, dim1=1)", "torch.softmax(x, 0, torch.float32)",
    "torch.log_softmax(x, 1, torch.float32)", "x.softmax(0, torch.float32)",
    "x.gather(1, torch.tensor([[1]]), sparse_grad=True)",
    "torch.isin(x, test_element=3.0)", "torch.max(x, x + 1)", "x.scatter(0, torch.tensor([[0]]), 5.0)",
]  # fmt: skip

NUMPY = [
    "x.sum(axis=0, keepdims=True)", "torch.sum(a=x, axis=1)", "torch.mean(x=x, axis=0)", "x.squeeze(axis=0)",
    "torch.add(x1=x, x2=x)", "torch.cat([x, x], axis=1)", "torch.stack(tensors=[x, x], axis=0)", "x.argmax(axis=1)",
    "torch.fft.fftshift(x, axis=0)", "torch.linalg.vector_norm(x, axis=1)", "torch.softmax(x, axis=0)",
    "x.max(axis=1).values", "x.cumsum_(axis=0)", "x.unsqueeze(axis=0)", "torch.sort(x, axis=0).indices",
]  # fmt: skip

FACTORIES = [
    "torch.zeros(size=(2, 3))", "torch.ones(2, layout=torch.strided, pin_memory=False, requires_grad=False)",
    "torch.zeros([2, 2])", "torch.full(size=(2,), fill_value=1)",
    "torch.full((2,), 1.5, out=x)", "torch.zeros(4, out=x)", "torch.zeros(3, dtype=int)",
    "torch.zeros(3, dtype=bool)", "torch.eye(2, layout=torch.strided)", "torch.arange(end=3)",
    "torch.arange(start=1, end=7, step=2, pin_memory=False)", "torch.arange(3, out=torch.zeros(9))",
    "torch.linspace(0, 1, 3, requires_grad=False)", "torch.logspace(start=0, end=2, steps=3, layout=None)",
    "torch.tensor([1.0], pin_memory=False, requires_grad=False)", "torch.as_tensor([2], dtype=torch.int32)",
    "torch.scalar_tensor(2, layout=torch.strided)", "torch.zeros_like(x, memory_format=torch.preserve_format)",
    "torch.ones_like(x, layout=torch.strided, pin_memory=False)", "torch.full_like(x, 3, dtype=torch.int64)",
    "x.new_zeros(size=(2,), requires_grad=False)", "x.new_ones((2,), layout=torch.strided)",
    "x.new_full((2,), 7, pin_memory=False)", "x.new_tensor([1, 2], requires_grad=False)",
    "torch.hann_window(6, requires_grad=False, layout=torch.strided)", "torch.fft.fftfreq(5, requires_grad=False)",
    "torch.tril_indices(3, 3, layout=torch.strided)", "torch.empty(0, 3, layout=torch.strided)",
]  # fmt: skip

BOUNDS = [
    f"torch.{text}, dtype=torch.{dtype})"
    for dtype in ("int64", "int32", "float32", "float16")
    for text in (
        "arange(0.0, -8.000001, -4.0", "arange(0.1, -7.9, -4.0", "arange(0.5, 5, 1.5", "arange(1.9, 7.2, 1",
        "arange(2.7, -3.4, -1.6", "arange(-0.5, 3, 1", "arange(0, 0.9, 1", "arange(0.9, 0, -1.2", "linspace(4.3, 1, 50",
        "linspace(0.1, 5.9, 4", "linspace(-2.7, 3.9, 5", "linspace(1.9, 1.2, 3", "linspace(1.9, 7, 1",
        "linspace(1.9, 7, 0", "logspace(2, 1.2, 2", "logspace(0, 2.9, 5", "logspace(0.7, 3, 4, 2.5",
        "linspace(torch.tensor(4.3), torch.tensor(1), 7",
    )
]  # fmt: skip

CASTS = [
    "x.float(memory_format=torch.preserve_format)", "x.half(memory_format=torch.contiguous_format)",
    "x.bool(memory_format=torch.preserve_format)", "x.long(memory_format=torch.preserve_format)",
    "x.to(int)", "x.to(bool)", "x.to('cpu', torch.float16, True, True)", "x.to(memory_format=torch.preserve_format)",
    "x.to(tensor=torch.tensor(1))", "x.to(torch.tensor(1), True)", "x.clone(memory_format=torch.preserve_format)",
    "x.sum(dtype=int)", "x.requires_grad_(False)", "x.type(dtype=torch.int64)", "x.type('torch.LongTensor')",
]  # fmt: skip

OUT = [
    "torch.add(x, 1, out=y)", "torch.matmul(x, x.T, out=y)", "torch.max(x, 0, out=(y, n)).values",
    "torch.sort(x, dim=1, out=(y, n)).indices", "torch.cat([x, x], out=y)", "torch.sum(x, 0, out=y)",
    "torch.linalg.vector_norm(x, out=y)", "torch.eq(x, 1, out=torch.zeros(2, 3, dtype=torch.bool))",
    "torch.add(torch.ones(2, dtype=torch.int64), 1, out=y)", "torch.normal(0.0, 0.0, (3,), out=y)",
]  # fmt: skip


STATISTICS = [
    "x.var(True)", "x.std(False)", "torch.var_mean(x, True)", "torch.std_mean(x, False)", "x.var(correction=None)",
    "torch.std(x, 1, correction=None, keepdim=True)", "torch.var(x, dim=0, correction=2)", "x.std(1, True, True)",
    "torch.var_mean(x, 0, correction=None)", "x.norm(None)", "x.norm(dtype=torch.float32)",
    "torch.norm(x, p='fro', dim=1)",
]  # fmt: skip

PICKED = [
    "x.repeat_interleave(torch.tensor([2, 0, 1]), dim=1)", "x.repeat_interleave(torch.tensor([2]), 0)",
    "torch.repeat_interleave(x, torch.tensor([1, 0, 2, 0, 3, 1]))", "torch.repeat_interleave(torch.tensor([2, 0, 1]))",
    "torch.repeat_interleave(x, 2, dim=0, output_size=4)",
    "x.repeat_interleave(torch.tensor([1, 2]), 0, output_size=3)",
    "torch.repeat_interleave(torch.tensor([1, 2], dtype=torch.int32), output_size=3).sum()",
    "torch.take_along_dim(x, torch.tensor([[-1, 0], [1, -3]]), 1)", "x.take_along_dim(torch.tensor([5, 0]))",
    "torch.take_along_dim(x, indices=torch.tensor([[-1]]), dim=0)", "x.narrow(1, torch.tensor(1), 2)",
]  # fmt: skip

# What changes the weight that it reads: the tensor "x".
LOOKED_UP = [
    f"F.embedding(torch.tensor([1, 1]), x{rest})"
    for rest in (
        "", ", max_norm=1.0", ", None, 2.0, 1.0", ", max_norm=3.0, norm_type=float('inf')", ", padding_idx=-1",
        ", scale_grad_by_freq=True, sparse=True", ", 0, None, 2.0, False, False",
    )
] + [
    "F.embedding_bag(torch.tensor([[1, 0]]), x, max_norm=1.0)", "nn.Embedding(2, 3, max_norm=1.5).max_norm",
    "F.embedding_bag(torch.tensor([1, 0]), x, n, 1.0, 1.0, mode='sum')", "repr(nn.Embedding(2, 3, max_norm=1.5))",
    "repr(nn.EmbeddingBag(2, 3, max_norm=1.0, norm_type=1.0))",
]  # fmt: skip

DRAWN = [
    "torch.normal(x, torch.zeros(3))", "torch.normal(x.half(), 0.0)", "torch.normal(2.0, torch.zeros(2))",
    "torch.normal(mean=x.bfloat16(), std=torch.zeros(2, 3))", "torch.normal(1.5, 0.0, (2,), dtype=torch.float16)",
    "torch.normal(mean=x, std=0.0, out=torch.ones(2, 3))",
    "torch.bernoulli(x, p=1.0)", "torch.bernoulli(torch.tensor([3, 4]), 1.0)",
]  # fmt: skip


def outcome(text: str, library: Any) -> dict[str, Any]:
    """The result, and the tensors that the text names, as it leaves them."""
    x = library.tensor([[3.0, 1.0, 2.0], [0.5, -1.0, 7.0]])
    names = names_of(library) | {"x": x, "y": library.zeros(2, 2), "n": library.zeros(1, dtype=library.int64)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of an out that is resized
        result = eval(text, names)
    return {"result": result, "x": names["x"], "y": names["y"], "n": names["n"]}


@pytest.mark.parametrize(
    "text", SHAPES + FORMS + NUMPY + FACTORIES + BOUNDS + CASTS + OUT + STATISTICS + PICKED + LOOKED_UP + DRAWN
)
def test_as_in_torch(text: str) -> None:
    expected, found = outcome(text, torch), outcome(text, ggml)
    for name, value in expected.items():
        assert_same(found[name], value)


REFUSED = {
    "torch.rand(2, dtype=float)": "there is no float64: use ggml.float32",
    "x.to(float)": "there is no float64: use ggml.float32",
    "x.double()": "there is no float64: use ggml.float32",
    "x.byte()": "there is no uint8: use ggml.int32",
    "x.cfloat()": "there is no complex64: use pairs",
    "torch.zeros(2, dtype=torch.float64)": "there is no float64: use ggml.float32",
    "torch.nn.Linear(2, 2).double()": "there is no float64: use ggml.float32",
}


@pytest.mark.parametrize(("text", "words"), REFUSED.items())
def test_what_cannot_be_honoured_says_so(text: str, words: str) -> None:
    outcome(text, torch)
    with pytest.raises(ggml.GgmlError, match=words):
        outcome(text, ggml)


@pytest.mark.parametrize("text", [
    "torch.zeros(2, nonsense=1)", "torch.zeros(2, layout='torch.sparse_coo')", "torch.zeros(2, dtype='float32')",
    "torch.zeros(2, out=3)", "torch.zeros(2, out=x, dtype=torch.int64)", "torch.zeros(2, size=(2,))",
    "torch.fft.rfft(x, out=y)", "torch.add(x, 1, out=3)", "torch.add(x, 1, out=torch.zeros(2, 3, dtype=torch.int64))",
    "torch.max(x, 0, out=y)", "torch.max(x, 0, out=(y,))", "torch.allclose(x, x, out=y)",
    "torch.sum(x, dim=0, axis=0)", "x.sum(dim=0, axis=0)", "x.reshape(6, shape=(6,))", "x.to(nonsense=1)",
    "torch.zeros(2, memory_format=torch.channels_last)", "torch.randn_like(3)", "torch.rand_like((2, 3))",
    "torch.promote_types(2, 'x')", "torch.promote_types(1, 1)", "torch.arange(0.0, 1e30, dtype=torch.int32)",
    "x.sum(0, keepdim='x')", "x.sum(0, 'x')", "torch.sort(x, descending=[1])", "torch.sum(x, 0, 1)",
    "x.var(True, False)", "x.var(0, True, correction=1)", "x.repeat_interleave(torch.tensor([1, 2]), 1)",
    "x.repeat_interleave(torch.tensor([1, -2]), 0)", "x.repeat_interleave(2, 0, output_size=3)",
    "x.repeat_interleave(torch.tensor([1.0, 2.0]), 0)", "torch.repeat_interleave(x)",
    "x.narrow(0, torch.tensor(True), 1)",
    "torch.zeros(0).norm(-1)", "torch.zeros(0).norm(float('inf'))",
    "F.nll_loss(torch.zeros(2, 0), torch.tensor([0, 0]))",
    "F.cross_entropy(x, x, ignore_index=1)", "F.hardtanh(x, 1.0, 0.5)", "F.embedding(n, x, padding_idx=2)",
    "nn.LSTM(3, 5, bias=0)", "nn.GRU(3, 5, batch_first='False')", "nn.RNN(0, 5)", "torch.normal(x, -torch.ones(3))",
    "torch.normal(x, 1.0, (3,))", "torch.take_along_dim(x, torch.tensor([-1]))[0].item()",
    "torch.arange(0, 5, 0.5, dtype=torch.int64)", "torch.arange(float('nan'))",
])  # fmt: skip
def test_what_torch_refuses_too(text: str) -> None:
    with pytest.raises(Exception):  # noqa: B017 - PyTorch has all kinds
        outcome(text, torch)
    with pytest.raises(ggml.GgmlError):
        outcome(text, ggml)
