"""Networks for images, of torchvision and timm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.ggml.zoo.library.fields import Fields
from tests.ggml.zoo.models import Arguments, Entry


def _torchvision() -> Any:
    from torchvision import models

    return models


def _named(name: str, **options: Any) -> nn.Module:
    model: nn.Module = getattr(_torchvision(), name)(weights=None, num_classes=10, **options)
    return model


def vgg() -> nn.Module:
    models = _torchvision()
    layers = models.vgg.make_layers([16, "M", 32, "M", 32, 32, "M"], batch_norm=True)
    model: nn.Module = models.VGG(layers, num_classes=10, init_weights=False)
    model.classifier = nn.Sequential(nn.Linear(32 * 49, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 10))
    return model


def densenet() -> nn.Module:
    model: nn.Module = _torchvision().DenseNet(8, (2, 3, 2), 16, num_classes=10)
    return model


def convnext() -> nn.Module:
    models = _torchvision()
    settings = [models.convnext.CNBlockConfig(*one) for one in ((16, 32, 1), (32, 64, 2), (64, None, 1))]
    model: nn.Module = models.ConvNeXt(settings, num_classes=10)
    return model


def vit() -> nn.Module:
    model: nn.Module = _torchvision().VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=10)
    return model


def swin() -> nn.Module:
    model: nn.Module = _torchvision().SwinTransformer([2, 2], 16, [2, 2], [2, 4], [4, 4], num_classes=10)
    return model


def swin_v2() -> nn.Module:
    models = _torchvision()
    kinds = {
        "block": models.swin_transformer.SwinTransformerBlockV2,
        "downsample_layer": models.swin_transformer.PatchMergingV2,
    }
    model: nn.Module = models.SwinTransformer([2, 2], 16, [2, 2], [2, 4], [4, 4], num_classes=10, **kinds)
    return model


def maxvit() -> nn.Module:
    model: nn.Module = _torchvision().MaxVit((56, 56), 16, 7, [16, 32], [1, 1], 8, 0.0, num_classes=10)
    return model


def _segmenter(name: str) -> nn.Module:
    model = getattr(_torchvision().segmentation, name)(weights=None, weights_backbone=None, num_classes=5)
    return Fields(model, ["x"], ["out"])


class Ssd(nn.Module):
    """A detector without its search for the best boxes, whose number only the data know."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = _torchvision().detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=4
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = self.whole.head(list(self.whole.backbone(images).values()))
        return found["bbox_regression"], found["cls_logits"]


def video() -> nn.Module:
    models = _torchvision()
    kind = models.video.resnet
    model: nn.Module = kind.VideoResNet(
        kind.BasicBlock, [kind.Conv2Plus1D] * 4, [1, 1, 1, 1], kind.R2Plus1dStem, num_classes=10
    )
    return model


def _timm(name: str, **options: Any) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=10, **options)
    return model


def _images(size: int, channels: int = 3) -> Callable[[int], Arguments]:
    return lambda batch: (torch.randn(batch, channels, size, size),)


def _clip(batch: int) -> Arguments:
    return (torch.randn(batch, 3, 4, 32, 32),)


def _entry(name: str, library: str, make: Callable[[], Any], size: int, is_quick: bool = False) -> Entry:
    return Entry(name, make, _images(size), library=library, is_quick=is_quick)


_tv, _ti = partial(_entry, library="torchvision"), partial(_entry, library="timm")

ENTRIES = [
    _tv("ResNet-18 (torchvision)", make=lambda: _named("resnet18"), size=64, is_quick=True),
    _tv("ResNet-50 (torchvision)", make=lambda: _named("resnet50"), size=64),
    _tv("ResNeXt-50 (torchvision)", make=lambda: _named("resnext50_32x4d"), size=64),
    _tv("VGG (torchvision)", make=vgg, size=64),
    _tv("DenseNet (torchvision)", make=densenet, size=64),
    _tv("MobileNetV3 (torchvision)", make=lambda: _named("mobilenet_v3_small"), size=64),
    _tv("EfficientNet-B0 (torchvision)", make=lambda: _named("efficientnet_b0"), size=64),
    _tv("ConvNeXt (torchvision)", make=convnext, size=64),
    _tv("ShuffleNetV2 (torchvision)", make=lambda: _named("shufflenet_v2_x0_5"), size=64),
    _tv("RegNetY (torchvision)", make=lambda: _named("regnet_y_400mf"), size=64),
    _tv("ViT (torchvision)", make=vit, size=32),
    _tv("Swin (torchvision)", make=swin, size=32),
    _tv("Swin V2 (torchvision)", make=swin_v2, size=32),
    _tv("MaxViT (torchvision)", make=maxvit, size=56),
    _tv("FCN (torchvision)", make=lambda: _segmenter("fcn_resnet50"), size=64),
    _tv("DeepLabV3 (torchvision)", make=lambda: _segmenter("deeplabv3_mobilenet_v3_large"), size=64),
    _tv("SSDLite heads (torchvision)", make=Ssd, size=96),
    Entry("R(2+1)D (torchvision)", video, _clip, library="torchvision", is_quick=False),
    _ti("DeiT (timm)", make=lambda: _timm("deit_tiny_patch16_224", img_size=64, depth=2), size=64),
    _ti("CoAtNet (timm)", make=lambda: _timm("coatnet_pico_rw_224", img_size=64), size=64),
    _ti("MobileViT (timm)", make=lambda: _timm("mobilevit_xxs"), size=64),
    _ti("MLP-Mixer (timm)", make=lambda: _timm("mixer_s32_224", img_size=64), size=64),
    _ti("XCiT (timm)", make=lambda: _timm("xcit_nano_12_p16_224", img_size=64, depth=2), size=64),
    _ti("EVA-02 (timm)", make=lambda: _timm("eva02_tiny_patch14_224", img_size=56, depth=2), size=56),
]
