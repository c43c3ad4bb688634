"""Networks for images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.ggml.zoo.models import Entry


class Block(nn.Module):
    """ResNet's basic block."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != out:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)


class ResNet(nn.Module):
    """ResNet-18, an eighth as wide."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        widths = (8, 16, 32, 64)
        blocks: list[nn.Module] = []
        inside = 8
        for place, out in enumerate(widths):
            blocks += [Block(inside, out, 1 if place == 0 else 2), Block(out, out, 1)]
            inside = out
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.head = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(inside, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


def vgg() -> nn.Module:
    layers: list[nn.Module] = []
    inside = 3
    for out, count in ((8, 1), (16, 2), (32, 2)):
        for _ in range(count):
            layers += [nn.Conv2d(inside, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(True)]
            inside = out
        layers.append(nn.MaxPool2d(2, 2))
    head = [nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(True), nn.Dropout()]
    return nn.Sequential(*layers, *head, nn.Linear(64, 10))


class DenseNet(nn.Module):
    """Two dense blocks with a transition between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList()
        channels = 8
        for _ in range(2):
            layers = nn.ModuleList()
            for _ in range(3):
                layers.append(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 4, 3, padding=1)))
                channels += 4
            self.blocks.append(layers)
            self.blocks.append(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 8, 1)))
            channels = 8
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if isinstance(block, nn.ModuleList):
                for layer in block:
                    x = torch.cat([x, layer(x)], 1)
            else:
                x = F.avg_pool2d(block(x), 2)
        return self.head(x.mean((2, 3)))


class Inverted(nn.Module):
    """MobileNetV3's block: expand, filter each channel, squeeze and excite, project."""

    def __init__(self, inside: int, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(inside, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish())
        self.depth = nn.Sequential(
            nn.Conv2d(wide, wide, 5, stride, 2, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.Hardswish()
        )
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, 8, 1), nn.ReLU(), nn.Conv2d(8, wide, 1), nn.Hardsigmoid()
        )
        self.project = nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.adds = stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.depth(self.expand(x))
        y = self.project(y * self.gate(y))
        return x + y if self.adds else y


def mobilenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
        Inverted(16, 32, 16, 1), Inverted(16, 48, 24, 2), Inverted(24, 48, 24, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 32), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(32, 10),
    )  # fmt: skip


class UNet(nn.Module):
    """Two levels, group norms, one upsampling by interpolation and one by a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = self._double(3, 8), self._double(8, 16)
        self.middle = self._double(16, 32)
        self.up = nn.ConvTranspose2d(32, 16, 2, 2)
        self.up2, self.up1 = self._double(32, 16), self._double(24, 8)
        self.out = nn.Conv2d(8, 2, 1)

    @staticmethod
    def _double(inside: int, out: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(inside, out, 3, padding=1), nn.GroupNorm(4, out), nn.SiLU(),
            nn.Conv2d(out, out, 3, padding=1), nn.GroupNorm(4, out), nn.SiLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        three = self.middle(F.max_pool2d(two, 2))
        two = self.up2(torch.cat([self.up(three), two], 1))
        wide = F.interpolate(two, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.out(self.up1(torch.cat([wide, one], 1)))


class ConvNeXt(nn.Module):
    """Patches, then depthwise 7 x 7, layer norm over channels that lie last, and a scaled residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.depth, self.norm = nn.Conv2d(16, 16, 7, padding=3, groups=16), nn.LayerNorm(16)
        self.up, self.down = nn.Linear(16, 64), nn.Linear(64, 16)
        self.gamma = nn.Parameter(torch.full((16,), 0.1))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm0(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(F.gelu(self.up(y)))
        return self.head((x + y.permute(0, 3, 1, 2)).mean([-2, -1]))


class ViT(nn.Module):
    """A class token, learned positions and encoder layers that normalise first."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, 32)), nn.Parameter(torch.randn(1, 17, 32) * 0.02)
        layer = nn.TransformerEncoderLayer(32, 4, 64, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(32), enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.encoder(x)[:, 0])


def _images(size: int) -> object:
    return lambda batch: (torch.randn(batch, 3, size, size),)


ENTRIES = [
    Entry("ResNet-18", ResNet, _images(64)),
    Entry("VGG", vgg, _images(32)),
    Entry("DenseNet", DenseNet, _images(32)),
    Entry("MobileNetV3", mobilenet, _images(32)),
    Entry("U-Net", UNet, _images(32)),
    Entry("ConvNeXt", ConvNeXt, _images(32)),
    Entry("ViT", ViT, _images(32)),
]
