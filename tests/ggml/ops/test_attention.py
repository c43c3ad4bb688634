"""What PyTorch has no counterpart of: rotary embeddings, gated units, time steps; against formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ggml
from tests.ggml.arrays import TORCH_DTYPES, laid_out, tensor, torch
from tests.ggml.compare import assert_close

F = ggml.nn.functional
FEW = settings(max_examples=40, suppress_health_check=list(HealthCheck), derandomize=True)


def turned(x: Any, angles: Any, mode: str) -> Any:
    """The formula: pairs as complex numbers, in float64. ``angles`` [..., dim / 2] broadcast."""
    width = 2 * angles.shape[-1]
    head, tail = x[..., :width].double(), x[..., width:].double()
    if mode == "neox":
        first, second = head[..., : width // 2], head[..., width // 2 :]
    else:
        first, second = head[..., ::2], head[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    parts = first * cos - second * sin, first * sin + second * cos
    joined = torch.cat(parts, -1) if mode == "neox" else torch.stack(parts, -1).flatten(-2)
    return torch.cat([joined, tail], -1)


def angles_of(positions: Any, dim: int, base: float) -> Any:
    return positions.double()[..., None] * base ** (-torch.arange(0, dim, 2).double() / dim)


def close(found: ggml.Tensor, expected: Any, tolerance: float = 1e-5) -> None:
    assert tuple(found.shape) == tuple(expected.shape)
    found = found.to(ggml.float32).numpy()
    scale = max(float(expected.abs().max()), 1e-3) if expected.numel() else 1.0
    np.testing.assert_allclose(found, expected.double().numpy(), rtol=tolerance, atol=tolerance * scale)


LAYOUTS = {  # of [B, H, T, D]: how its axes lie, and the shape of its positions
    "head first": ((0, 1, 2, 3), lambda b, h, t: (t,)),
    "position first": ((0, 2, 1, 3), lambda b, h, t: (t, 1)),
    "own positions": ((0, 1, 2, 3), lambda b, h, t: (b, 1, t)),
    "every row its own": ((0, 1, 2, 3), lambda b, h, t: (b, h, t)),
    "by head": ((0, 1, 2, 3), lambda b, h, t: (h, 1)),
    "one for all": ((0, 1, 2, 3), lambda b, h, t: ()),
}


@FEW
@given(data=st.data())
def test_rotary_equals_the_formula(data: st.DataObject) -> None:
    draw = data.draw
    batch, heads, length = (draw(st.integers(1, 3)) for _ in range(3))
    pairs, rest = draw(st.integers(1, 5)), draw(st.integers(0, 3))
    order, shape_of = LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))]
    dtype = draw(st.sampled_from(("float32", "float32", "float16", "bfloat16")))
    extents = [(batch, heads, length)[d] for d in order[:3]]
    x = tensor(draw, (*extents, 2 * pairs + rest), dtype)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kind = draw(st.sampled_from((np.int64, np.int32)))
    positions = torch.from_numpy(np.array(rng.integers(-4, 60, shape_of(batch, heads, length)), kind))
    positions = laid_out(draw, positions)
    base, mode = draw(st.sampled_from((10000.0, 500.0))), draw(st.sampled_from(("neox", "normal")))
    angles = angles_of(positions, 2 * pairs, base)
    kwargs: dict[str, Any] = {}
    if draw(st.booleans()):
        kwargs["freq_scale"] = 0.25
        angles = angles * 0.25
    if draw(st.booleans()):
        factors = torch.from_numpy(rng.uniform(1, 4, pairs).astype(np.float32))
        kwargs["freq_factors"] = ggml.from_dlpack(factors)
        angles = angles / factors
    found = F.rotary_embedding(ggml.from_dlpack(x), ggml.from_dlpack(positions), 2 * pairs, base, mode, **kwargs)
    assert found.dtype.name == dtype
    close(found, turned(x, angles, mode), {"float32": 2e-5, "float16": 2e-3, "bfloat16": 1.6e-2}[dtype])


def test_rotary_by_yarn() -> None:
    dim, base, length, factor = 16, 10000.0, 512, 4.0
    x, positions = torch.randn(2, 40, dim), torch.arange(40)
    plain = angles_of(positions, dim, base)
    bound = [dim * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(base)) for turns in (32.0, 1.0)]
    low, high = max(math.floor(bound[0]), 0), min(math.ceil(bound[1]), dim - 1)
    slow = ((torch.arange(dim // 2).double() - low) / max(high - low, 0.001)).clamp(0, 1)
    mixed = plain / factor * slow + plain * (1 - slow)
    found = F.rotary_embedding(
        ggml.from_dlpack(x),
        ggml.from_dlpack(positions),
        freq_scale=1 / factor,
        ext_factor=1.0,
        original_max_position=length,
    )
    close(found, turned(x, mixed, "neox") * (1 + 0.1 * math.log(factor)), 2e-5)


@pytest.mark.parametrize(
    ("arguments", "kwargs"),
    [
        ((ggml.zeros(3, 4), ggml.arange(3.0)), {}),
        ((ggml.zeros(3, 4), ggml.arange(2)), {}),
        ((ggml.zeros(3, 4), ggml.zeros(2, 3, dtype=ggml.int64)), {}),
        ((ggml.zeros(3, 4), ggml.arange(3)), {"dim": 3}),
        ((ggml.zeros(3, 4), ggml.arange(3)), {"dim": 6}),
        ((ggml.zeros(3, 4), ggml.arange(3)), {"mode": "other"}),
        ((ggml.zeros(3, 4), ggml.arange(3)), {"base": 0.0}),
        ((ggml.zeros(3, 4), ggml.arange(3)), {"freq_scale": math.nan}),
        ((ggml.zeros(3, 4), ggml.arange(3)), {"freq_factors": ggml.ones(3)}),
        ((ggml.zeros(3, 4), ggml.arange(3)), {"ext_factor": 1.0}),
        ((ggml.arange(4), ggml.arange(3)), {}),
        ((ggml.zeros(()), ggml.arange(3)), {}),
    ],
)
def test_rotary_refuses(arguments: Any, kwargs: dict[str, Any]) -> None:
    with pytest.raises(ggml.GgmlError):
        F.rotary_embedding(*arguments, **kwargs)


GATED = {
    "swiglu": (torch.nn.functional.silu, {}),
    "geglu": (torch.nn.functional.gelu, {}),
    "geglu tanh": (lambda x: torch.nn.functional.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
    "reglu": (torch.relu, {}),
}


@FEW
@given(data=st.data())
def test_gated_units(data: st.DataObject) -> None:
    draw = data.draw
    name = draw(st.sampled_from(list(GATED)))
    activation, kwargs = GATED[name]
    dtype = draw(st.sampled_from(list(TORCH_DTYPES)[:3]))
    shape = draw(st.lists(st.integers(0, 5), max_size=5).map(tuple))
    gate, up = (tensor(draw, shape, dtype, specials=name in ("swiglu", "reglu")) for _ in range(2))
    found = getattr(F, name.split()[0])(ggml.from_dlpack(gate), ggml.from_dlpack(up), **kwargs)
    assert found.dtype.name == dtype
    expected = (activation(gate.float()) * up.float()).to(gate.dtype)
    assert_close(found.to(ggml.float32).numpy(), expected, dtype)


def test_gated_units_refuse() -> None:
    for name in ("swiglu", "geglu", "reglu"):
        for pair in ((ggml.ones(2), ggml.ones(3)), (ggml.ones(2), ggml.arange(2)), (ggml.ones(2), 1.0)):
            with pytest.raises(ggml.GgmlError):
                getattr(F, name)(*pair)


@pytest.mark.parametrize("dim", [0, 1, 7, 32])
def test_timestep_embedding(dim: int) -> None:
    steps = torch.tensor([0.0, 1.0, 2.5, 50.0])
    angles = steps.double()[:, None] * torch.exp(-math.log(10000) * torch.arange(dim // 2).double() / max(dim // 2, 1))
    expected = torch.cat([angles.cos(), angles.sin(), torch.zeros(4, dim % 2).double()], 1)
    close(F.timestep_embedding(ggml.from_dlpack(steps), dim), expected)
    close(F.timestep_embedding(ggml.tensor([50, 1]), dim), expected[[3, 1]])
