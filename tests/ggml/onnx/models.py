"""Small models of each kind, and how what comes out is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import ggml
from ggml import nn
from ggml.nn import functional as F
from ggml.vision import models
from ggml.vision.models.resnet import BasicBlock


class Decoder(nn.Module):
    """One block of a decoder over [B, T] tokens."""

    def __init__(self, vocabulary: int = 32, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.tokens, self.places, self.heads = nn.Embedding(vocabulary, width), nn.Embedding(64, width), heads
        self.norm_1, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm_2, self.up, self.down = nn.RMSNorm(width), nn.Linear(width, 32), nn.Linear(32, width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, ids: ggml.Tensor) -> ggml.Tensor:
        batch, length = ids.shape
        x = self.tokens(ids) + self.places(ggml.arange(length))
        parts = self.qkv(self.norm_1(x)).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, -1))
        return self.head(x + self.down(F.silu(self.up(self.norm_2(x)))))


def _conv_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=2, stride=2, padding=1), nn.GroupNorm(4, 8), nn.Hardswish(),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), nn.InstanceNorm2d(4), nn.AvgPool2d(2),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
        nn.LogSoftmax(-1),
    )  # fmt: skip


class Case(NamedTuple):
    """``axes`` of the input may change; ``other`` is another size of them."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    axes: dict[int, str]
    other: tuple[int, ...]


CASES = {
    "mlp": Case(
        lambda: nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(), nn.Linear(8, 3), nn.Softmax(-1)),
        (2, 4), {0: "batch"}, (5, 4),
    ),
    "conv": Case(_conv_net, (2, 3, 16, 16), {0: "batch", 2: "height", 3: "width"}, (3, 3, 32, 16)),
    "resnet": Case(
        lambda: models.ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5), (1, 3, 32, 32), {0: "batch"}, (3, 3, 32, 32)
    ),
    "resnet18": Case(lambda: models.resnet18(num_classes=5), (1, 3, 32, 32), {0: "batch"}, (3, 3, 32, 32)),
    "mobilenet": Case(lambda: models.MobileNetV2(num_classes=5), (1, 3, 32, 32), {0: "batch"}, (2, 3, 32, 32)),
    "vit": Case(
        lambda: models.VisionTransformer(
            image_size=16, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5
        ),
        (2, 3, 16, 16), {0: "batch"}, (5, 3, 16, 16),
    ),
    "lstm": Case(
        lambda: nn.LSTM(5, 6, num_layers=2, bidirectional=True), (7, 2, 5), {0: "time", 1: "batch"}, (9, 3, 5)
    ),
    "gru": Case(lambda: nn.GRU(5, 6, batch_first=True), (2, 6, 5), {0: "batch"}, (4, 6, 5)),
    "decoder": Case(Decoder, (2, 8), {0: "batch", 1: "time"}, (3, 13)),
    "encoder": Case(
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (2, 5, 16), {0: "batch", 1: "time"}, (3, 7, 16)
    ),
}  # fmt: skip


def made(name: str) -> nn.Module:
    """The model with weights and statistics that are all different from their first values."""
    ggml.manual_seed(0)
    model = CASES[name].make().eval()
    random = np.random.default_rng(0)
    state = model.state_dict()
    for key, one in state.items():
        if one.dtype.is_floating_point:
            drawn = random.standard_normal(tuple(one.shape)).astype(np.float32)
            scale = 1 / np.sqrt(max(np.prod(one.shape[1:]), 1)) if one.ndim > 1 else 0.3
            values = np.abs(drawn) + 0.5 if key.endswith(("running_var", "norm.weight")) else drawn * scale
            state[key] = ggml.from_numpy(np.array(values, np.float32))
    model.load_state_dict(state)
    return model


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:  # type: ignore[type-arg]
    """An input of the model."""
    random = np.random.default_rng(1)
    if name == "decoder":
        return random.integers(0, 32, shape)
    return random.standard_normal(shape).astype(np.float32)


def flat(result: Any) -> list[np.ndarray]:  # type: ignore[type-arg]
    """The arrays of a result, whatever form it has."""
    if isinstance(result, (tuple, list)):
        return [array for one in result for array in flat(one)]
    return [np.asarray(result.detach().numpy())]


def need_close(got: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    """Every array within the tolerance of the largest element that is wanted, which must not be zeros."""
    got, wanted = list(got), list(wanted)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        size = np.abs(other.astype(np.float64)).max()
        assert size > 0
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * size)
