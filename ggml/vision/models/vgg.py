"""VGG: Simonyan and Zisserman, Very deep convolutional networks, https://arxiv.org/abs/1409.1556."""

from __future__ import annotations

import ggml.nn as nn
from ggml.tensors.tensor import Tensor
from ggml.vision.models.building import Weights, begin, with_weights

# Channels of convolutions; 0 halves the size.
_VGG11 = [64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0]
_VGG16 = [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]


def make_layers(channels: list[int]) -> nn.Sequential:
    """The convolutions of such a model."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in channels:
        if outputs == 0:
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers)


class VGG(nn.Module):
    """Images [N, 3, H, W] to the scores [N, num_classes]."""

    def __init__(self, features: nn.Module, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        begin(self, linear_std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return scores


def vgg11(*, weights: Weights = None, num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG of 11 layers, with the weights of a local file."""
    return with_weights("vgg11", VGG(make_layers(_VGG11), num_classes, dropout), weights)


def vgg16(*, weights: Weights = None, num_classes: int = 1000, dropout: float = 0.5) -> VGG:
    """VGG of 16 layers, with the weights of a local file."""
    return with_weights("vgg16", VGG(make_layers(_VGG16), num_classes, dropout), weights)
