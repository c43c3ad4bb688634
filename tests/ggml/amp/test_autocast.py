"""Mixed precision: dtypes and values beside PyTorch's, and training that ends where that in float32 does."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
import pytest

import ggml
from ggml import nn
from ggml.registry.autocasting import LOWER, WIDE
from ggml.registry.table import TABLE
from tests.ggml.both import torch, twins

RNG = np.random.default_rng(0)
A = RNG.standard_normal((4, 8)).astype(np.float32)
B = RNG.standard_normal((8, 5)).astype(np.float32)

PRODUCTS = {
    "matmul": lambda t, a, b: a @ b,
    "mm": lambda t, a, b: t.mm(a, b),
    "linear": lambda t, a, b: t.nn.functional.linear(a, b.t(), t.ones(5)),
    "addmm": lambda t, a, b: t.addmm(t.ones(4, 5), a, b),
    "bmm": lambda t, a, b: t.bmm(a[None], b[None]),
    "baddbmm": lambda t, a, b: t.baddbmm(t.ones(1, 4, 5), a[None], b[None]),
    "conv1d": lambda t, a, b: t.nn.functional.conv1d(a[None], t.ones(2, 4, 3), padding=1),
    "attention": lambda t, a, b: t.nn.functional.scaled_dot_product_attention(a[None], a[None], a[None]),
}
LAYERS = [
    ("nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))", (2, 3, 8, 8)),
    ("nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 4))", (2, 8)),
    ("nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 4))", (2, 3, 6, 6)),
    ("nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)", (2, 5, 8)),
]
HALVES = [("bfloat16", 2**-7), ("float16", 2**-10)]


@pytest.mark.parametrize(("half", "rtol"), HALVES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_have_torchs_dtype_and_value(name: str, half: str, rtol: float) -> None:
    found = {}
    for library in (ggml, torch):
        with library.autocast("cpu", dtype=getattr(library, half)):
            result = PRODUCTS[name](library, library.tensor(A), library.tensor(B))
        assert str(result.dtype).endswith(half)
        found[library] = result.float().numpy()
    scale = np.abs(found[torch]).max()
    np.testing.assert_allclose(found[ggml], found[torch], rtol=rtol, atol=4 * rtol * scale)


@pytest.mark.parametrize(("half", "rtol"), HALVES)
@pytest.mark.parametrize(("text", "shape"), LAYERS, ids=lambda one: str(one)[:24])
def test_layers_beside_torch(text: str, shape: tuple[int, ...], half: str, rtol: float) -> None:
    theirs, ours = twins(text)
    x = RNG.standard_normal(shape).astype(np.float32)
    with torch.autocast("cpu", dtype=getattr(torch, half)):
        wanted = theirs(torch.from_numpy(x))
    with ggml.autocast("cpu", dtype=getattr(ggml, half)):
        found = ours(ggml.tensor(x))
    np.testing.assert_allclose(
        found.float().detach().numpy(), wanted.float().detach().numpy(), rtol=0.05, atol=8 * rtol
    )
    wanted.float().square().sum().backward()
    found.float().square().sum().backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.dtype is ggml.float32 and mine.grad.dtype is ggml.float32
        scale = float(other.grad.abs().max())
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=0.1, atol=16 * rtol * max(scale, 1))


def test_what_needs_range_is_float32() -> None:
    x = ggml.tensor(A).half()
    with ggml.autocast("cpu", dtype=ggml.float16):
        results = [x.softmax(-1), x.exp(), x.sum(), nn.functional.layer_norm(x, (8,)), x.pow(2), x.norm()]
        results += [nn.functional.mse_loss(x, ggml.tensor(A)), nn.functional.cross_entropy(x, ggml.arange(4))]
        for result in results:
            assert result.dtype is ggml.float32
        assert (x * 300 * 300).exp().sum().item() == float("inf")
        assert ggml.full((70000,), 1.0, dtype=ggml.float16).sum().item() == 70000  # above float16's largest
        assert (x + 1).dtype is ggml.float16 and x.relu().dtype is ggml.float16
        assert (x @ ggml.tensor(B)).dtype is ggml.float16
        assert nn.LSTM(8, 4)(nn.Linear(8, 8)(x.float()))[0].shape == (4, 4)
    assert x.sum().dtype is ggml.float16
    assert set(TABLE) >= LOWER | WIDE and not LOWER & WIDE


def test_blocks_nest_and_end() -> None:
    x, layer = ggml.tensor(A), nn.Linear(8, 3)

    @ggml.autocast("cpu", ggml.float16)
    def inside() -> Any:
        return layer(x)

    assert inside().dtype is ggml.float16 and inside.__name__ == "inside"
    with ggml.amp.autocast("cpu"):
        assert layer(x).dtype is ggml.bfloat16 and ggml.is_autocast_enabled("cpu")
        assert inside().dtype is ggml.float16
        with ggml.autocast("cuda"):
            assert ggml.get_autocast_dtype("cuda") is ggml.float16
            assert layer(x).dtype is ggml.bfloat16
        with ggml.autocast("cpu", enabled=False):
            assert layer(x).dtype is ggml.float32 and not ggml.is_autocast_enabled("cpu")
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(layer(x).dtype))
        thread.start()
        thread.join()
        assert seen == [ggml.float32]
        loss = layer(x).float().square().mean()
        loss.backward()  # within the block: as outside of it
    with pytest.raises(ZeroDivisionError), ggml.autocast("cpu"):
        raise ZeroDivisionError
    assert layer(x).dtype is ggml.float32 and not ggml.is_autocast_enabled("cpu")
    inner = layer.weight.grad.clone()
    layer.zero_grad()
    with ggml.autocast("cpu"):
        again = layer(x).float().square().mean()
    again.backward()
    assert layer.weight.grad.tolist() == inner.tolist()


def test_compiled_functions_and_checkpoints_keep_to_the_block() -> None:
    x, layer = ggml.tensor(A), nn.Linear(8, 3)
    compiled = ggml.compile(layer)
    for _ in range(2):
        assert compiled(x).dtype is ggml.float32
        with ggml.autocast("cpu"):
            assert compiled(x).dtype is ggml.bfloat16
    with ggml.autocast("cpu"):
        plain = layer(x).float().square().sum()
        kept = ggml.utils.checkpoint.checkpoint(layer, x).float().square().sum()
    plain.backward()
    wanted = layer.weight.grad.tolist()
    layer.zero_grad()
    kept.backward()
    assert layer.weight.grad.tolist() == wanted


@functools.cache
def _last_loss(half: str | None) -> float:
    ggml.manual_seed(0)
    x = ggml.randn(128, 8)
    y = (x[:, 0] * x[:, 1] > 0).long()
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = ggml.optim.AdamW(model.parameters(), lr=2e-2)
    scaler = ggml.amp.GradScaler("cpu", enabled=half == "float16")
    for _ in range(80):
        optimizer.zero_grad()
        with ggml.autocast("cpu", getattr(ggml, half or "bfloat16"), enabled=half is not None):
            loss = nn.functional.cross_entropy(model(x), y)
        assert loss.dtype is ggml.float32
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert all(one.dtype is ggml.float32 for one in model.parameters())
    return float(loss)


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_an_mlp_trains_to_about_the_same_loss(half: str) -> None:
    wanted, found = _last_loss(None), _last_loss(half)
    assert wanted < 0.1
    assert found == pytest.approx(wanted, abs=0.02) and found != wanted


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ggml.autocast("cpu", ggml.float32), ggml.DTypeError, "float16 or bfloat16"),
        (lambda: ggml.autocast("cuda:0"), ggml.ArgumentError, "a type without a number"),
        (lambda: ggml.autocast(ggml.float16), ggml.DTypeError, "a string"),  # type: ignore[arg-type]
        (lambda: ggml.autocast("cpu", None, 1), ggml.DTypeError, "a bool"),  # type: ignore[arg-type]
    ],
)
def test_wrong_blocks_are_refused(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_programs_keep_their_dtypes() -> None:
    program = ggml.export.lower(torch.export.export(torch.nn.Linear(8, 3), (torch.from_numpy(A),)))
    with ggml.autocast("cpu"):
        within = program(ggml.tensor(A))
    outside = program(ggml.tensor(A))
    for result in (within, outside):
        assert (result[0] if isinstance(result, tuple) else result).dtype is ggml.float32
