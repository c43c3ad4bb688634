"""Each difference from PyTorch that docs/ggml/differences.md lists, shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.ops.namespace import TABLE
from ggml.tools import reference

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

SHOWN: dict[str, Callable[[], None]] = {}


def shows(*names: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def enter(function: Callable[[], None]) -> Callable[[], None]:
        SHOWN.update(dict.fromkeys(names, function))
        return function

    return enter


@shows("div")
def test_division_by_a_number() -> None:
    x = torch.arange(1.0, 1001.0)
    found, expected = (ggml.from_dlpack(x) / 3.0).numpy(), (x / 3.0).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-7)


@shows("to")
def test_numbers_that_do_not_fit() -> None:
    x = ggml.tensor([math.inf, math.nan, 1e20, -1e20, 3.9])
    smallest = -(1 << 31)
    assert x.int().tolist() == [smallest] * 4 + [3]
    weight = ggml.from_buffer(bytes(34), dtype=ggml.q8_0, shape=(1, 32))
    assert weight.to(ggml.float16).dtype is ggml.float16


@shows("reshape", "permute", "expand", "view")
def test_views_are_values() -> None:
    x = ggml.zeros(2, 3)
    views = [x.reshape(6), x.permute(1, 0), x.expand(2, 2, 3), x.T.view(6)]
    x.add_(1)
    assert all(view.sum().item() == 0 for view in views)
    with pytest.raises(RuntimeError):
        torch.zeros(2, 3).T.view(6)


@shows("getitem")
def test_masks_are_read() -> None:
    compiled = ggml.compile(lambda x: x[x > 0])
    with pytest.raises(ggml.TracingError):
        compiled(ggml.ones(3))


@shows("topk")
def test_ties_of_topk() -> None:
    assert ggml.zeros(5).topk(2).indices.tolist() == [0, 1]


@shows("matmul", "linear")
def test_weights_keep_their_type() -> None:
    x, weight = torch.randn(3, 32), torch.randn(8, 32)
    half = ggml.from_dlpack(weight.half())
    expected = (x @ weight.T).numpy()
    for product in (ggml.from_dlpack(x) @ half.T, ggml.nn.functional.linear(ggml.from_dlpack(x), half)):
        assert product.dtype is ggml.float32
        np.testing.assert_allclose(product.numpy(), expected, atol=2e-2)
    with pytest.raises(ggml.DTypeError):
        ggml.arange(3) @ ggml.arange(3)


@shows("embedding")
def test_rows_of_quantised_weights() -> None:
    scale = np.array([0.5], np.float16).tobytes()
    raw = b"".join(scale + np.full(32, row, np.int8).tobytes() for row in range(4))
    weight = ggml.from_buffer(raw, dtype=ggml.q8_0, shape=(4, 32))
    rows = ggml.nn.functional.embedding(ggml.tensor([3, 1]), weight)
    assert rows.dtype is ggml.float32
    assert rows[:, 0].tolist() == [1.5, 0.5]
    with pytest.raises(ggml.TracingError):
        ggml.compile(lambda x, w: ggml.nn.functional.embedding(x, w, max_norm=1.0))(ggml.tensor([0]), ggml.ones(2, 3))
    product = ggml.nn.functional.linear(ggml.ones(1, 32), weight)
    assert product[0].tolist() == pytest.approx([0, 16, 32, 48], rel=1e-3)


@shows("gelu")
def test_gelu_of_infinity() -> None:
    assert ggml.nn.functional.gelu(ggml.tensor([math.inf])).item() == math.inf


@shows(
    "batch_norm", "instance_norm", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "feature_alpha_dropout", "rrelu",
)  # fmt: skip
def test_training_is_not_compiled() -> None:
    functional = ggml.nn.functional
    drops = [getattr(functional, name) for name in SHOWN if "dropout" in name or name == "rrelu"]
    calls = [lambda x, drop=drop: drop(x, training=True) for drop in drops]
    mean, variance = ggml.zeros(3), ggml.ones(3)
    calls.append(lambda x: functional.batch_norm(x, mean, variance, training=True))
    calls.append(lambda x: functional.instance_norm(x, mean, variance))
    for call in calls:
        assert call(ggml.ones(2, 3, 4)).shape == (2, 3, 4)
        with pytest.raises(ggml.TracingError):
            ggml.compile(call)(ggml.ones(2, 3, 4))
    assert not ggml.is_lazy(mean)


def test_pinning_needs_a_card() -> None:
    x = ggml.ones(2)
    if not any(one.capabilities["host_buffer"] for one in ggml.backend.infos()):
        assert not x.pin_memory().is_pinned()
    assert not hasattr(ggml, "Stream")


@shows("scaled_dot_product_attention")
def test_attention_takes_more() -> None:
    attend = ggml.nn.functional.scaled_dot_product_attention
    query, key, value = (torch.randn(1, 2, 4, 8) for _ in range(3))
    parts = [ggml.from_dlpack(part) for part in (query, key, value)]
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value).numpy()
    half = [parts[0], parts[1].half(), parts[2].half()]
    assert attend(*half).dtype is ggml.float32
    np.testing.assert_allclose(attend(*half).numpy(), expected, atol=5e-3)
    seen = ggml.tensor([True, True, False, True])
    both = attend(*parts, attn_mask=seen, is_causal=True).numpy()
    mask = (seen.expand(4, 4).logical_and(ggml.ones(4, 4).tril().bool())).numpy()
    one = torch.nn.functional.scaled_dot_product_attention(query, key, value, torch.from_numpy(mask.copy()))
    np.testing.assert_allclose(both, one.numpy(), atol=1e-5)
    spoilt = value.clone()
    spoilt[:, :, 2] = math.nan
    spoilt_key = key.clone()
    spoilt_key[:, :, 2] = math.nan
    found = attend(parts[0], ggml.from_dlpack(spoilt_key), ggml.from_dlpack(spoilt), attn_mask=seen.expand(4, 4))
    assert not found.isnan().any().item()


@shows("setitem")
def test_setting_items_changes_one_handle() -> None:
    x = ggml.zeros(2, 2)
    row = x[0]
    x[0] = 1
    row[0] = 5
    assert (x.tolist(), row.tolist()) == ([[1, 1], [0, 0]], [5, 0])

    def relu(x: ggml.Tensor) -> ggml.Tensor:
        x[x < 0] = 0
        return x

    def picked(x: ggml.Tensor) -> ggml.Tensor:
        x[x < 0] = x[:1]
        x[x < 0] = ggml.ones(2)
        return x

    assert ggml.compile(relu)(ggml.tensor([-1.0, 2.0])).tolist() == [0, 2]
    with pytest.raises(ggml.TracingError):
        ggml.compile(picked)(ggml.tensor([-1.0, 2.0]))


@shows("bincount")
def test_weights_of_a_count() -> None:
    counts = ggml.bincount(ggml.tensor([0, 2, 2]), ggml.tensor([1, 2, 3]))
    assert counts.dtype is ggml.float32
    assert counts.tolist() == [1, 0, 5]


@shows("unique")
def test_unique_is_sorted() -> None:
    assert ggml.tensor([3, 1, 2, 1]).unique(sorted=False).tolist() == [1, 2, 3]
    rows = ggml.tensor([[math.nan, 1], [0.0, 2], [0.0, 2]])
    assert rows.unique(dim=0, return_counts=True)[1].tolist() == [2, 1]


@shows("histc")
def test_counts_are_exact() -> None:
    x = torch.zeros(900, dtype=torch.bfloat16)
    assert ggml.from_dlpack(x).histc(1, -1, 1).item() == 900
    assert torch.histc(x, 1, -1, 1).item() < 900


@shows("matrix_power", "matrix_norm", "linalg_norm")
def test_inverses_and_singular_values_are_not_compiled() -> None:
    x = ggml.eye(3)
    with pytest.raises(ggml.TracingError):
        ggml.compile(lambda x: x.matrix_power(-1))(x)
    with pytest.raises(ggml.DTypeError):
        ggml.arange(4).reshape(2, 2).matrix_power(2)
    for order in ("nuc", 2, -2):
        for norm in (ggml.linalg.matrix_norm, ggml.linalg.norm):
            assert norm(x, order).item() == pytest.approx(3 if order == "nuc" else 1)
            with pytest.raises(ggml.TracingError):
                ggml.compile(lambda x, norm=norm, order=order: norm(x, order))(x)


@shows("contiguous")
def test_memory_formats_change_nothing() -> None:
    x = ggml.zeros(2, 3, 4, 5).contiguous(memory_format=ggml.channels_last)
    assert not x.is_contiguous(memory_format=ggml.channels_last)
    assert x.is_contiguous()


@shows("binary_cross_entropy", "gaussian_nll_loss")
def test_elements_of_losses_are_not_looked_at() -> None:
    functional = ggml.nn.functional
    assert math.isnan(functional.binary_cross_entropy(ggml.tensor([1.5]), ggml.tensor([1.0])).item())
    with pytest.raises(RuntimeError):
        torch.nn.functional.binary_cross_entropy(torch.tensor([1.5]), torch.tensor([1.0]))
    zero, one = ggml.zeros(1), ggml.ones(1)
    negative, tiny = (functional.gaussian_nll_loss(zero, one, var, eps=0.5).item() for var in (-one, zero))
    assert negative == tiny


@shows("embedding_bag")
def test_bags() -> None:
    with pytest.raises(ggml.TracingError):
        ggml.compile(lambda x, w: ggml.nn.functional.embedding_bag(x, w, max_norm=1.0))(
            ggml.tensor([[0]]), ggml.ones(2, 3)
        )
    raw = b"".join(np.array([0.5], np.float16).tobytes() + np.full(32, row, np.int8).tobytes() for row in range(4))
    weight = ggml.from_buffer(raw, dtype=ggml.q8_0, shape=(4, 32))
    bags = ggml.nn.functional.embedding_bag(ggml.tensor([[1, 3]]), weight, mode="sum")
    assert bags.dtype is ggml.float32
    assert bags[0, 0].item() == 2.0


@shows("one_hot", "multinomial", "gumbel_softmax")
def test_what_reads_or_draws_is_not_compiled() -> None:
    functional = ggml.nn.functional
    for function in (
        functional.one_hot,
        lambda x: (x * 1.0).multinomial(1),
        lambda x: functional.gumbel_softmax(x * 1.0),
    ):
        with pytest.raises(ggml.TracingError):
            ggml.compile(function)(ggml.tensor([1, 2]))
    one_hot = ggml.compile(lambda x: functional.one_hot(x, 3))
    assert one_hot(ggml.tensor([2])).tolist() == [[0, 0, 1]]


@shows("take_along_dim")
def test_indices_outside_the_axis() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert torch.take_along_dim(x, torch.tensor([[4]]), 1).tolist() == [[1.0], [4.0]]
    assert ggml.from_dlpack(x).take_along_dim(ggml.tensor([[-1]]), 1).tolist() == [[2.0], [5.0]]
    with pytest.raises(ggml.IndexOutOfRangeError):
        ggml.from_dlpack(x).take_along_dim(ggml.tensor([[4]]), 1).numpy()


@shows("mode")
def test_place_of_the_most_frequent() -> None:
    assert ggml.tensor([7, 1, 7, 2]).mode().indices.item() == 2


FOURIER = [row.name for row in TABLE.values() if row.torch.startswith("fft.") and row.differs]


@shows("complex", "polar", "view_as_complex", "stft", "istft", *FOURIER)
def test_complex_tensors_are_pairs() -> None:
    x = torch.randn(2, 8)
    pairs = ggml.fft.rfft(ggml.from_dlpack(x), dim=0)
    expected = torch.view_as_real(torch.fft.rfft(x, dim=0))
    np.testing.assert_allclose(pairs.numpy(), expected.numpy(), atol=1e-5)
    assert ggml.complex(ggml.ones(3), ggml.zeros(3)).shape == (3, 2)
    spectrum = ggml.stft(ggml.ones(16), 8, window=ggml.hann_window(8))
    assert spectrum.shape == (5, 9, 2)
    assert not spectrum.is_complex()
    assert ggml.stft(ggml.ones(16), 8, return_complex=True).is_complex()
    with pytest.raises(ggml.UnsupportedOpError):
        pairs.sum()
    with pytest.raises(ggml.ShapeMismatchError):
        ggml.fft.fft(ggml.ones(3))
    unseen = ggml.compile(lambda x: ggml.istft(x, 8, 8, window=ggml.zeros(8)))(spectrum[:, :3])
    assert bool(unseen.isnan().any())


@shows("i0", "i1", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1")
def test_limits_of_bessel_functions() -> None:
    endless = torch.tensor(math.inf)
    for name, limit in (("i0", math.inf), ("i1", math.inf), ("bessel_j0", 0), ("bessel_j1", 0), ("bessel_y0", 0)):
        assert getattr(torch.special, name)(endless).isnan()
        assert getattr(ggml.special, name)(ggml.tensor(math.inf)).item() == limit
    for name in ("bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"):
        function = getattr(torch.special, name)
        exact = function(torch.tensor(1e4, dtype=torch.float64)).item()
        assert getattr(ggml.special, name)(ggml.tensor(1e4)).item() == pytest.approx(exact, rel=1e-6)
        assert abs(function(torch.tensor(1e4)).item() / exact - 1) > 1e-5


@shows("signal_kaiser")
def test_windows_of_a_large_beta() -> None:
    theirs, ours = torch.signal.windows.kaiser(65, beta=100.0), ggml.signal.windows.kaiser(65, beta=100.0)
    exact = torch.signal.windows.kaiser(65, beta=100.0, dtype=torch.float64).numpy()
    np.testing.assert_allclose(ours.numpy(), exact, rtol=1e-6, atol=1e-40)
    assert not abs(theirs.numpy() - exact).max() < 0.5


@shows("as_strided", "as_strided_scatter")
def test_strides_are_those_of_the_tensor_itself() -> None:
    theirs = torch.arange(6).reshape(2, 3).T
    ours = ggml.from_dlpack(theirs)
    assert torch.as_strided(theirs, (6,), (1,)).tolist() == [0, 1, 2, 3, 4, 5]
    assert ours.as_strided((6,), (1,)).tolist() == [0, 3, 1, 4, 2, 5]
    assert ours.as_strided_scatter(ggml.tensor([9, 9]), (2,), (1,)).tolist() == [[9, 9], [1, 4], [2, 5]]


@shows("cov")
def test_weights_of_a_compiled_covariance() -> None:
    x, weights = ggml.arange(6.0).reshape(2, 3), ggml.tensor([1.0, -1.0, 2.0])
    with pytest.raises(ggml.ArgumentError, match="negative"):
        x.cov(aweights=weights)
    assert ggml.compile(lambda x, w: x.cov(aweights=w))(x, weights).shape == (2, 2)


@shows("ctc_loss")
def test_sequences_without_an_alignment_are_not_compiled() -> None:
    chances = ggml.zeros(2, 1, 3).log_softmax(-1)
    assert ggml.nn.functional.ctc_loss(chances, ggml.tensor([[1]]), (2,), (1,)).item() == pytest.approx(math.log(3))
    with pytest.raises(IndexError):
        ggml.nn.functional.ctc_loss(chances, ggml.tensor([[3]]), (2,), (1,))
    with pytest.raises(ggml.TracingError):
        ggml.compile(ggml.nn.CTCLoss())(chances, ggml.tensor([[1]]), (2,), (1,))


@shows("kron")
def test_blocks_of_many_axes() -> None:
    assert ggml.ones(1, 2, 1, 2).kron(ggml.ones(2, 1, 2, 1)).shape == (2, 2, 2, 2)
    with pytest.raises(ggml.RankError):
        ggml.ones(1, 1, 1, 1, 1).kron(ggml.ones(2))


def test_every_difference_is_shown() -> None:
    rows = {row.name for row in TABLE.values() if row.differs and row.sample != "internal"}
    assert rows == set(SHOWN)


def test_pages_are_current() -> None:
    for path, text in reference.texts().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m ggml.tools.reference"


def test_out_is_another_value() -> None:
    out = ggml.zeros(7)
    before = out[:2]
    result = ggml.reshape(ggml.ones(2, 2), (4,), out=out)
    assert result is out and out.tolist() == [1.0] * 4 and before.tolist() == [0.0, 0.0]
    with pytest.raises(TypeError):
        torch.reshape(torch.ones(2, 2), (4,), out=torch.zeros(7))
    with pytest.raises(ggml.DTypeError):
        ggml.allclose(out, out, out=out)


def test_dtypes_and_options_that_are_not_here() -> None:
    for call in (lambda: ggml.float64, lambda: ggml.ones(2).double(), lambda: ggml.zeros(2, dtype=float)):
        with pytest.raises(ggml.GgmlError, match=r"use ggml.float32"):
            call()
    assert not hasattr(ggml, "float64")
    assert (ggml.zeros(2, dtype=int).dtype, ggml.zeros(2, dtype=bool).dtype) == (ggml.int64, ggml.bool)
    with pytest.raises(ggml.UnsupportedOpError):
        ggml.zeros(2, layout=torch.sparse_coo)
    assert ggml.nn.Parameter(ggml.zeros(2), requires_grad=True).requires_grad
    channels = ggml.empty(2, 3, 4, 5, memory_format=ggml.channels_last)
    assert not channels.is_contiguous(memory_format=ggml.channels_last)


def test_general_differences() -> None:
    lazy = ggml.ones(2).index_select(0, ggml.tensor([5]))
    with pytest.raises(IndexError):
        lazy.tolist()
    with pytest.raises(ggml.DTypeError):
        ggml.tensor(np.zeros(2))
    assert ggml.empty(3).tolist() == [0, 0, 0]
    with pytest.raises(ggml.DTypeError):
        ggml.add(1, 2)
    ggml.manual_seed(3)
    first = ggml.randn(4).tolist()
    assert ggml.manual_seed(3) is ggml.random.default_generator
    assert ggml.randn(4).tolist() == first
    assert ggml.rand(1000).mean().item() == pytest.approx(0.5, abs=0.1)


def test_signs_of_vectors_are_open() -> None:
    """Of wide matrices this LAPACK and PyTorch's may choose different ones: the products are the same."""
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    theirs, ours = torch.linalg.svd(x, full_matrices=False), ggml.linalg.svd(ggml.from_dlpack(x), full_matrices=False)
    np.testing.assert_allclose(ours.S.numpy(), theirs.S.numpy(), rtol=1e-5)
    np.testing.assert_allclose(abs(ours.U.numpy()), abs(theirs.U.numpy()), atol=1e-5)
    np.testing.assert_allclose(((ours.U * ours.S) @ ours.Vh).numpy(), x.numpy(), atol=1e-5)


def test_what_is_made_in_inference_mode_may_be_used_anywhere() -> None:
    @ggml.no_grad()
    def twice(x: ggml.Tensor) -> ggml.Tensor:
        return x * 2

    @ggml.inference_mode
    def thrice(x: ggml.Tensor) -> ggml.Tensor:
        return x * 3

    x = ggml.ones(1, requires_grad=True)
    (twice(x) * x + thrice(x) * x).backward()
    assert x.grad is not None and x.grad.item() == 5


def test_views_changed_in_place_pass_no_gradient_to_their_base() -> None:
    x = ggml.ones(2, 2, requires_grad=True)
    y = x * 1
    y[0].mul_(10)
    y[1] = 5.0
    y.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[1, 1], [0, 0]]


def test_detached_handles_have_versions_of_their_own() -> None:
    x = ggml.ones(2, requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    y.detach().mul_(10)
    z.backward()
    assert x.grad is not None and x.grad.tolist() == [2, 2]
