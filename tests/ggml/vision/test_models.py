"""Models beside torchvision's: the same keys, and with the same weights the same scores and gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggml
from ggml.vision import models
from ggml.vision.models import resnet, vgg
from tests.ggml.torchvision_ops import make_importable

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
make_importable()
theirs = pytest.importorskip(
    "torchvision.models", reason="torchvision is not installed: pip install 'ggml-cluster[zoo]'"
)


def other(ours: Any, make: Any) -> Any:
    """torchvision's model with our weights, which it looks at where they lie."""
    with torch.device("meta"):
        model = make()
    state = {name: torch.from_numpy(value.detach().numpy()) for name, value in ours.state_dict().items()}
    model.load_state_dict(state, assign=True)
    return model.eval()


def stirred(model: Any) -> Any:
    """With something to see in what begins as zeros and ones."""
    ggml.manual_seed(1)
    with ggml.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("running_mean", "bias", "class_token", "head.weight")):
                value.copy_(ggml.randn(*value.shape) * 0.1)
            elif name.endswith("running_var"):
                value.copy_(ggml.rand(*value.shape) + 0.5)
    return model.eval()


def close(ours: Any, want: Any) -> None:
    want = want.detach().numpy()
    np.testing.assert_allclose(ours.detach().numpy(), want, rtol=0, atol=2e-5 * max(1.0, float(np.abs(want).max())))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet18", 32),
        ("mobilenet_v2", 32),
        pytest.param("resnet50", 64, marks=pytest.mark.slow),
        pytest.param("vgg11", 32, marks=pytest.mark.slow),
    ],
)
def test_scores(name: str, size: int) -> None:
    ours = stirred(getattr(models, name)(num_classes=10))
    want = other(ours, lambda: getattr(theirs, name)(num_classes=10))
    images = ggml.randn(2, 3, size, size)
    with ggml.no_grad(), torch.no_grad():
        close(ours(images), want(torch.from_numpy(images.numpy())))


def test_scores_of_bottlenecks() -> None:
    ours = stirred(models.ResNet(resnet.Bottleneck, [1, 2, 1, 1], 10))
    want = other(ours, lambda: theirs.ResNet(theirs.resnet.Bottleneck, [1, 2, 1, 1], 10))
    images = ggml.randn(2, 3, 32, 32)
    with ggml.no_grad(), torch.no_grad():
        close(ours(images), want(torch.from_numpy(images.numpy())))


def test_features_of_vgg() -> None:
    ours = stirred(vgg.make_layers(vgg._VGG11))
    want = other(ours, lambda: theirs.vgg11().features)
    images = ggml.randn(2, 3, 32, 32)
    with ggml.no_grad(), torch.no_grad():
        close(ours(images), want(torch.from_numpy(images.numpy())))


def small(library: Any) -> Any:
    return library.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=10
    )


def test_scores_and_gradients_of_a_transformer() -> None:
    ours = stirred(small(models))
    want = other(ours, lambda: small(theirs))
    images = ggml.randn(2, 3, 32, 32)
    scores, asked = ours(images), want(torch.from_numpy(images.numpy()))
    close(scores, asked)
    (scores * scores).sum().backward()
    (asked * asked).sum().backward()
    for (key, parameter), (their_key, their_parameter) in zip(
        ours.named_parameters(), want.named_parameters(), strict=True
    ):
        assert key == their_key
        close(parameter.grad, their_parameter.grad)
    with pytest.raises(ggml.ShapeMismatchError, match=r"images \[N, 3, 32, 32\]"):
        ours(ggml.zeros(1, 3, 31, 32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet34", "vgg16", "vit_b_16"])
def test_keys(name: str) -> None:
    with torch.device("meta"):
        want = {key: tuple(value.shape) for key, value in getattr(theirs, name)().state_dict().items()}
    assert {key: tuple(value.shape) for key, value in getattr(models, name)().state_dict().items()} == want


def test_layers_of_vgg16() -> None:
    with torch.device("meta"):
        want = {key: tuple(value.shape) for key, value in theirs.vgg16().features.state_dict().items()}
    ours = vgg.make_layers(vgg._VGG16).state_dict()
    assert {key: tuple(value.shape) for key, value in ours.items()} == want


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    model = stirred(models.mobilenet_v2(num_classes=3))
    ggml.save(model.state_dict(), tmp_path / "x.gguf")
    again = models.mobilenet_v2(num_classes=3, weights=tmp_path / "x.gguf").eval()
    images = ggml.randn(1, 3, 32, 32)
    assert (again(images) == model(images)).all().item()
    with pytest.raises(ggml.ArgumentError, match="nothing is downloaded"):
        models.resnet18(weights=True)  # type: ignore[arg-type]
