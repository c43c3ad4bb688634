"""Models of images whose state dicts have torchvision's keys, so that weights go from one to the other."""

from __future__ import annotations

from ggml.vision.models.mobilenetv2 import MobileNetV2, mobilenet_v2
from ggml.vision.models.resnet import ResNet, resnet18, resnet34, resnet50
from ggml.vision.models.vgg import VGG, vgg11, vgg16
from ggml.vision.models.vision_transformer import VisionTransformer, vit_b_16

__all__ = [
    "VGG",
    "MobileNetV2",
    "ResNet",
    "VisionTransformer",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "vgg11",
    "vgg16",
    "vit_b_16",
]
