"""MobileNet V2: Sandler et al., Inverted residuals and linear bottlenecks, https://arxiv.org/abs/1801.04381."""

from __future__ import annotations

import ggml.nn as nn
from ggml.tensors.tensor import Tensor
from ggml.vision.models.building import Weights, begin, convolved, with_weights

# For each stage: how much wider its blocks are inside, channels, blocks, stride of the first.
_STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
_LAST = 1280


class InvertedResidual(nn.Module):
    """Wide within and narrow at its ends, beside the identity where that fits."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        self.use_res_connect = stride == 1 and inp == oup
        hidden = inp * expand_ratio
        wider = [convolved(inp, hidden, 1, activation=nn.ReLU6)] if expand_ratio != 1 else []
        self.conv = nn.Sequential(
            *wider,
            convolved(hidden, hidden, 3, stride, groups=hidden, activation=nn.ReLU6),
            nn.Conv2d(hidden, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return x + made if self.use_res_connect else made


class MobileNetV2(nn.Module):
    """Images [N, 3, H, W] to the scores [N, num_classes]."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        channels = 32
        features: list[nn.Module] = [convolved(3, channels, 3, 2, activation=nn.ReLU6)]
        for expand_ratio, outputs, count, stride in _STAGES:
            for place in range(count):
                features.append(InvertedResidual(channels, outputs, stride if place == 0 else 1, expand_ratio))
                channels = outputs
        features.append(convolved(channels, _LAST, 1, activation=nn.ReLU6))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(_LAST, num_classes))
        begin(self, linear_std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return scores


def mobilenet_v2(*, weights: Weights = None, num_classes: int = 1000, dropout: float = 0.2) -> MobileNetV2:
    """MobileNet V2, with the weights of a local file."""
    return with_weights("mobilenet_v2", MobileNetV2(num_classes, dropout), weights)
