"""Networks for tables, sound and scans."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.ggml.zoo.models import Entry


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(12, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 32), nn.GELU(), nn.Dropout(0.1),
        nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 5), nn.LogSoftmax(-1),
    )  # fmt: skip


class Dlrm(nn.Module):
    """Dense features, bags of sparse ones, and the products of all pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.bottom = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU())
        self.bags = nn.ModuleList([nn.EmbeddingBag(20, 8, mode="sum"), nn.EmbeddingBag(30, 8, mode="mean")])
        self.top = nn.Sequential(nn.Linear(8 + 3, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, dense: Tensor, first: Tensor, second: Tensor) -> Tensor:
        x = self.bottom(dense)
        parts = torch.stack([x, self.bags[0](first), self.bags[1](second)], 1)
        products = torch.bmm(parts, parts.transpose(1, 2))
        rows, columns = torch.tril_indices(3, 3, offset=-1)
        return self.top(torch.cat([x, products[:, rows, columns]], 1))


class Audio(nn.Module):
    """Whisper's encoder: two convolutions, sines, attention."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv1d(20, 32, 3, padding=1), nn.Conv1d(32, 32, 3, 2, 1)
        angles = torch.arange(25)[:, None] * torch.exp(-torch.arange(16) * 0.6)[None]
        self.register_buffer("places", torch.cat([angles.sin(), angles.cos()], 1))
        layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True, norm_first=True)
        self.layers, self.norm = nn.ModuleList([layer]), nn.LayerNorm(32)

    def forward(self, mel: Tensor) -> Tensor:
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).permute(0, 2, 1) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Mamba(nn.Module):
    """A selective scan, step by step, between a causal depthwise convolution and a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.conv = nn.Linear(16, 64, bias=False), nn.Conv1d(32, 32, 4, groups=32, padding=3)
        self.x_proj, self.dt_proj = nn.Linear(32, 2 + 2 * 4, bias=False), nn.Linear(2, 32)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, 5, dtype=torch.float32).repeat(32, 1)))
        self.D, self.out = nn.Parameter(torch.ones(32)), nn.Linear(32, 16, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        x, gate = self.inside(x).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., :length].transpose(1, 2))
        dt, b, c = self.x_proj(x).split([2, 4, 4], -1)
        dt = F.softplus(self.dt_proj(dt))
        decay = torch.exp(dt.unsqueeze(-1) * -torch.exp(self.A_log))
        drive = dt.unsqueeze(-1) * b.unsqueeze(2) * x.unsqueeze(-1)
        state, outputs = torch.zeros_like(drive[:, 0]), []
        for step in range(length):
            state = decay[:, step] * state + drive[:, step]
            outputs.append((state @ c[:, step].unsqueeze(-1)).squeeze(-1))
        return self.out((torch.stack(outputs, 1) + x * self.D) * F.silu(gate))


ENTRIES = [
    Entry("MLP", mlp, lambda batch: (torch.randn(batch, 12),)),
    Entry(
        "DLRM",
        Dlrm,
        lambda batch: (torch.randn(batch, 6), torch.randint(0, 20, (batch, 3)), torch.randint(0, 30, (batch, 2))),
        ({0: "batch"}, {0: "batch"}, {0: "batch"}),
    ),
    Entry("audio encoder", Audio, lambda batch: (torch.randn(batch, 20, 50),)),
    Entry("Mamba", Mamba, lambda batch: (torch.randn(batch, 6, 16),)),
]
