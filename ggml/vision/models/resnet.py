"""ResNet: He et al., Deep residual learning for image recognition, https://arxiv.org/abs/1512.03385.

The step of a bottleneck is in its 3 x 3 convolution, as in torchvision.
"""

from __future__ import annotations

from typing import Any

import ggml.nn as nn
from ggml.tensors.tensor import Tensor
from ggml.vision.models.building import Weights, begin, with_weights


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        beside = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + beside)
        return result


class Bottleneck(nn.Module):
    """A 3 x 3 convolution of few channels between two of 1 x 1, beside the identity."""

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(out)))))
        beside = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.relu(out + beside)
        return result


class ResNet(nn.Module):
    """Images [N, 3, H, W] to the scores [N, num_classes]. ``layers`` are the blocks of each of the four stages."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], layers: list[int], num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inplanes = 64
        for stage, count in enumerate(layers):
            planes, stride = 64 << stage, 1 if stage == 0 else 2
            setattr(self, f"layer{stage + 1}", _stage(block, inplanes, planes, count, stride))
            inplanes = planes * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inplanes, num_classes)
        begin(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        scores: Tensor = self.fc(self.avgpool(x).flatten(1))
        return scores


def _stage(block: Any, inplanes: int, planes: int, count: int, stride: int) -> nn.Sequential:
    """Blocks of one size. The first brings what comes in to it, and so does a convolution beside it."""
    outputs = planes * block.expansion
    downsample = None
    if stride != 1 or inplanes != outputs:
        downsample = nn.Sequential(nn.Conv2d(inplanes, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first = block(inplanes, planes, stride, downsample)
    return nn.Sequential(first, *(block(outputs, planes) for _ in range(count - 1)))


def resnet18(*, weights: Weights = None, num_classes: int = 1000) -> ResNet:
    """ResNet-18, with the weights of a local file."""
    return with_weights("resnet18", ResNet(BasicBlock, [2, 2, 2, 2], num_classes), weights)


def resnet34(*, weights: Weights = None, num_classes: int = 1000) -> ResNet:
    """ResNet-34, with the weights of a local file."""
    return with_weights("resnet34", ResNet(BasicBlock, [3, 4, 6, 3], num_classes), weights)


def resnet50(*, weights: Weights = None, num_classes: int = 1000) -> ResNet:
    """ResNet-50, with the weights of a local file."""
    return with_weights("resnet50", ResNet(Bottleneck, [3, 4, 6, 3], num_classes), weights)
