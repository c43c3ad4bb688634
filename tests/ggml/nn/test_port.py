"""Models written for PyTorch: one source text, executed with ``torch`` and with ggml under that name."""

from __future__ import annotations

import sys
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import numpy as np
import torch

import ggml
from tests.ggml.both import randomise

# Of the largest element, in float32.
TOLERANCE = 1e-5

TRANSFORMER = """
import math
import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, width, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).split(width, dim=-1)
        q, k, v = (one.view(batch, length, self.num_heads, -1).transpose(1, 2) for one in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).contiguous().view(batch, length, width))


class Block(nn.Module):
    def __init__(self, width=32, num_heads=4):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.norm2 = nn.RMSNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(50, 32, padding_idx=0)
        self.places = nn.Parameter(torch.zeros(1, 16, 32))
        self.register_buffer("scale", torch.tensor(math.sqrt(32.0)))
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens):
        x = self.tokens(tokens) * self.scale + self.places[:, : tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return F.log_softmax(self.head(self.norm(x)), dim=-1)


def inputs():
    return (torch.arange(22).reshape(2, 11) % 50,)
"""

LSTM = """
import torch
from torch import nn


class Cell(nn.Module):
    # The gates by hand, beside the layer that has them.
    def __init__(self, width, hidden):
        super().__init__()
        self.hidden = hidden
        self.ih = nn.Linear(width, 4 * hidden)
        self.hh = nn.Linear(hidden, 4 * hidden, bias=False)

    def forward(self, x, state):
        h, c = state
        i, f, g, o = torch.chunk(self.ih(x) + self.hh(h), 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = Cell(6, 8)
        self.ready = nn.LSTMCell(8, 5)
        self.layer = nn.LSTM(5, 7, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, x):
        h = torch.zeros(x.size(0), self.cell.hidden, device=x.device, dtype=x.dtype)
        state, other, seen = (h, torch.zeros_like(h)), None, []
        for step in x.unbind(1):
            state = self.cell(step, state)
            other = self.ready(state[0], other)
            seen.append(other[0])
        output, (hidden, _) = self.layer(torch.stack(seen, dim=1))
        return torch.cat([output.mean(dim=1), hidden[-1], hidden[-2]], dim=-1)


def inputs():
    return (torch.linspace(-2, 2, 3 * 9 * 6).reshape(3, 9, 6).sin(),)
"""

RESNET = """
import torch
import torch.nn as nn
import torch.nn.functional as F


class BasicBlock(nn.Module):
    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 16, stride=2))
        self.fc = nn.Linear(16, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)

    def forward(self, x):
        x = self.layers(F.relu(self.stem(x), inplace=True))
        x = torch.flatten(x.mean(dim=(2, 3)), 1)
        return self.fc(x)


def inputs():
    return (torch.linspace(-2, 2, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8).cos(),)
"""


def _executed(text: str, library: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the text defines, where ``import torch`` finds ``library``."""
    with monkeypatch.context() as patch:
        for name, module in (("torch", library), ("torch.nn", library.nn)):
            patch.setitem(sys.modules, name, module)
        patch.setitem(sys.modules, "torch.nn.functional", library.nn.functional)
        found: dict[str, Any] = {}
        exec(text, found)
    return found


def _twins(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, Any, Any]:
    """Both models with equal weights, and the inputs of each."""
    theirs, ours = (_executed(text, library, monkeypatch) for library in (torch, ggml))
    model, ported = theirs["Model"](), ours["Model"]()
    randomise(model)
    assert repr(ported.load_state_dict(model.state_dict())) == "<All keys matched successfully>"
    assert repr(ported) == repr(model)
    return model, ported, theirs["inputs"](), ours["inputs"]()


def _agree(found: ggml.Tensor, expected: Any) -> None:
    wanted = expected.detach().numpy()
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted, rtol=TOLERANCE, atol=TOLERANCE * np.abs(wanted).max())


@pytest.mark.parametrize("text", [TRANSFORMER, LSTM], ids=["transformer", "lstm"])
def test_ported_model_agrees(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, ported, given, mine = _twins(text, monkeypatch)
    model.eval()
    ported.eval()
    with torch.no_grad():
        expected = model(*given)
    _agree(ported(*mine), expected)
    _agree(ggml.compile(ported)(*mine), expected)


def test_ported_resnet_agrees_in_both_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ported, given, mine = _twins(RESNET, monkeypatch)
    with torch.no_grad():
        for _ in range(2):  # the running statistics move
            _agree(ported(*mine), model(*given))
        for name, value in model.state_dict().items():
            _agree(ported.state_dict()[name], value)
        model.eval()
        ported.eval()
        expected = model(*given)
    _agree(ported(*mine), expected)
    _agree(ggml.compile(ported)(*mine), expected)


def test_tied_weights_stay_tied(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ported, _, _ = _twins(TRANSFORMER, monkeypatch)
    assert ported.half().head.weight is ported.tokens.weight
