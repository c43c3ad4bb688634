"""Transforms beside those of torchvision, on images, on arrays and on tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggml
from ggml.vision import transforms as T
from ggml.vision.transforms import functional as F
from tests.ggml.torchvision_ops import make_importable

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
make_importable()
pytest.importorskip("torchvision", reason="torchvision is not installed: pip install 'ggml-cluster[zoo]'")

import torchvision.transforms as V  # noqa: E402
import torchvision.transforms.functional as VF  # noqa: E402
from PIL import Image  # noqa: E402

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (17, 23, 3), np.uint8)
KINDS = ["RGB", "L", "array", "bytes", "tensor", "integers"]


def pairs(kind: str, channels: int = 3) -> tuple[Any, Any]:
    """One image for us, and the same for torchvision."""
    pixels = RGB[..., :channels]
    if kind in ("RGB", "L"):
        image = Image.fromarray(RGB).convert(kind)
        return image, image
    planes = pixels.transpose(2, 0, 1).copy()
    floats = planes.astype(np.float32) / np.float32(255)
    if kind == "bytes":
        return planes, torch.tensor(planes)
    if kind == "integers":
        return ggml.tensor(planes.astype(np.int32)), torch.tensor(planes.astype(np.int32))
    return (floats if kind == "array" else ggml.tensor(floats)), torch.tensor(floats)


def same(ours: Any, theirs: Any, atol: float = 0.0) -> None:
    if isinstance(theirs, Image.Image):
        assert isinstance(ours, Image.Image) and ours.mode == theirs.mode and ours.size == theirs.size
    found, want = np.asarray(ours.numpy() if isinstance(ours, ggml.Tensor) else ours), np.asarray(theirs)
    assert found.shape == want.shape and found.dtype == want.dtype
    np.testing.assert_allclose(found.astype(np.float64), want.astype(np.float64), rtol=0, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_flips_crops_and_borders(kind: str) -> None:
    ours, theirs = pairs(kind)
    for name, args in (
        ("hflip", ()),
        ("vflip", ()),
        ("crop", (2, 3, 5, 6)),
        ("crop", (-2, 20, 9, 9)),
        ("crop", (40, 3, 5, 6)),
        ("center_crop", (8,)),
        ("center_crop", ([9, 12],)),
        ("center_crop", ([30, 10],)),
        ("center_crop", ([33, 34],)),
        ("pad", (3,)),
        ("pad", ([1, 2],)),
        ("pad", ([1, 2, 3, 4], 7)),
        ("pad", ([1, 2, 3, 4], 0, "edge")),
        ("pad", ([1, 2, 3, 4], 0, "reflect")),
        ("pad", ([1, 2, 3, 4], 0, "symmetric")),
    ):
        same(getattr(F, name)(ours, *args), getattr(VF, name)(theirs, *args))
    assert F.get_dimensions(ours) == VF.get_dimensions(theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [8, [8, 30], [40, 11], 30])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_sizes(kind: str, size: Any, mode: str) -> None:
    ours, theirs = pairs(kind)
    # Integers are rounded after float32 arithmetic that is not the same to the last bit.
    atol = {"array": 2e-5, "tensor": 2e-5, "bytes": 1.0, "integers": 1.0}.get(kind, 0.0)
    for antialias in (True, False)[: 1 if kind in ("RGB", "L") else 2]:  # Pillow always smooths
        want = VF.resize(theirs, size, V.InterpolationMode(mode), antialias=antialias)
        same(F.resize(ours, size, T.InterpolationMode(mode), antialias=antialias), want, atol)


def test_sizes_with_a_limit() -> None:
    for size, limit in ((8, 9), (8, 40), (20, 22)):
        ours, theirs = pairs("tensor")
        assert F.resize(ours, size, max_size=limit).shape == tuple(VF.resize(theirs, size, max_size=limit).shape)
    with pytest.raises(ggml.ArgumentError, match="must be greater than the size 8"):
        F.resize(ours, 8, max_size=8)
    with pytest.raises(ggml.ArgumentError, match="lanczos is for images of Pillow's only"):
        F.resize(ours, 8, T.InterpolationMode.LANCZOS)
    with pytest.raises(ggml.ArgumentError, match="size must be positive"):
        F.resize(ours, 0)
    assert F.resize(Image.fromarray(RGB), 8, 1).size == (10, 8)  # Pillow's number of lanczos


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_colors(kind: str, channels: int) -> None:
    ours, theirs = pairs(kind, channels)
    # A rounding of float32 can change an integer by one, as the fractions are cut off.
    atol = {"array": 2e-6, "tensor": 2e-6, "bytes": 1.0, "integers": 1.0}.get(kind, 0.0)
    for name in ("brightness", "contrast", "saturation"):
        for factor in (0.0, 0.4, 1.0, 1.7):
            same(getattr(F, f"adjust_{name}")(ours, factor), getattr(VF, f"adjust_{name}")(theirs, factor), atol)
        with pytest.raises(ggml.ArgumentError, match="must not be negative"):
            getattr(F, f"adjust_{name}")(ours, -0.1)
    if kind != "integers":  # 32-bit integers in [0, 1] are no colors
        for factor in (-0.5, -0.2, 0.0, 0.3):
            same(F.adjust_hue(ours, factor), VF.adjust_hue(theirs, factor), atol)
    with pytest.raises(ggml.ArgumentError, match=r"in \[-0\.5, 0\.5\]"):
        F.adjust_hue(ours, 0.6)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "I", "F", "RGBA", "I;16"])
def test_images_become_tensors(mode: str) -> None:
    image = Image.fromarray(RGB).convert("L").convert("I").convert(mode) if mode == "I;16" else (
        Image.fromarray(RGB).convert(mode)
    )  # fmt: skip
    ours, theirs = F.to_tensor(image), VF.to_tensor(image)
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_arrays_become_tensors() -> None:
    for array in (RGB, RGB[..., 0], RGB.astype(np.float32)):
        np.testing.assert_array_equal(T.ToTensor()(array).numpy(), V.ToTensor()(array).numpy())
    with pytest.raises(ggml.ArgumentError, match="must have 2 or 3 axes"):
        F.to_tensor(RGB[0, 0])
    with pytest.raises(ggml.DTypeError, match="an image of Pillow's or an array"):
        F.to_tensor("x")


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_normalising(kind: str) -> None:
    for mean, std in (((0.4, 0.5, 0.6), (0.2, 0.3, 0.1)), ((0.5,), (0.25,))):
        ours, theirs = pairs(kind)
        want = VF.normalize(theirs, mean, std)
        same(F.normalize(ours, mean, std), want, 1e-6)
        assert T.Normalize(mean, std, inplace=True)(ours) is ours
        same(ours, want, 1e-6)
    with pytest.raises(ggml.ArgumentError, match="std has a zero"):
        F.normalize(ours, (0.5,), (0.0,))
    with pytest.raises(ggml.ArgumentError, match="1 or 3 values"):
        F.normalize(ours, (0.5, 0.5), (1.0, 1.0))
    with pytest.raises(ggml.DTypeError, match="as to_tensor makes them"):
        F.normalize(pairs("bytes")[0], (0.5,), (1.0,))


def drawn(ours: Any, theirs: Any, monkeypatch: pytest.MonkeyPatch, image: Any, other: Any, atol: float) -> None:
    """What ours draws, given to both, is done alike; and equal seeds draw alike."""
    found = []
    real = ours.get_params

    def remember(*args: Any) -> Any:
        found.append(real(*args))
        return found[-1]

    monkeypatch.setattr(type(ours), "get_params", staticmethod(remember))
    monkeypatch.setattr(type(theirs), "get_params", staticmethod(lambda *args: found[-1]))
    for seed in range(5):
        ggml.manual_seed(seed)
        made = ours(image)
        same(made, theirs(other), atol)
        ggml.manual_seed(seed)
        same(ours(image), theirs(other), atol)
        assert found[-1] == found[-2]
    assert len({str(one) for one in found}) > 2


@pytest.mark.parametrize("kind", ["RGB", "tensor"])
@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("RandomCrop", (9,), {}),
        ("RandomCrop", ([12, 20],), {"padding": 4}),
        ("RandomCrop", ([12, 20],), {"padding": [1, 2, 3, 4], "padding_mode": "reflect"}),
        ("RandomCrop", (24,), {"pad_if_needed": True, "fill": 3}),
        ("RandomResizedCrop", (10,), {}),
        ("RandomResizedCrop", ([9, 12],), {"scale": (0.5, 1.0), "ratio": (1.0, 1.5)}),
        ("ColorJitter", (0.4, 0.5, 0.6, 0.1), {}),
        ("ColorJitter", (), {"contrast": (0.5, 2.0), "hue": (-0.1, 0.3)}),
    ],
)
def test_what_is_drawn(kind: str, name: str, args: Any, options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = getattr(T, name)(*args, **options), getattr(V, name)(*args, **options)
    drawn(ours, theirs, monkeypatch, *pairs(kind), 0.0 if kind == "RGB" else 3e-5)


def test_what_is_drawn_has_the_right_shares() -> None:
    ggml.manual_seed(0)
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    for transform, flipped in (
        (T.RandomHorizontalFlip(0.3), image[..., ::-1]),
        (T.RandomVerticalFlip(0.3), image[:, ::-1]),
    ):
        count = sum(bool((transform(image) == flipped).all()) for _ in range(1000))
        assert 250 < count < 350
    corners = {tuple(T.RandomCrop.get_params(image, (1, 2))[:2]) for _ in range(100)}
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}
    jitter = T.ColorJitter(0.4, hue=0.2)
    orders, bright, contrast, _, hue = zip(
        *(T.ColorJitter.get_params(jitter.brightness, jitter.contrast, None, jitter.hue) for _ in range(300)),
        strict=True,
    )
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2, 3)} and len({tuple(one) for one in orders}) == 24
    assert 0.6 <= min(bright) < 0.62 and 1.38 < max(bright) <= 1.4 and set(contrast) == {None}
    assert -0.2 <= min(hue) < -0.19 and 0.19 < max(hue) <= 0.2


def test_a_chain_in_a_loader() -> None:
    chain = T.Compose(
        [T.Resize(12), T.CenterCrop(10), T.ToTensor(), T.Normalize((0.5,), (0.5,)), T.Lambda(lambda x: x * 2)]
    )
    other = V.Compose([V.Resize(12), V.CenterCrop(10), V.ToTensor(), V.Normalize((0.5,), (0.5,))])
    images = [Image.fromarray(np.roll(RGB, i, 0)) for i in range(4)]

    class Images(ggml.data.Dataset[Any]):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Any:
            return chain(images[index]), index

    (x, y), *_ = ggml.data.DataLoader(Images(), 4)
    want = torch.stack([other(image) for image in images]) * 2
    np.testing.assert_allclose(x.numpy(), want.numpy(), rtol=0, atol=1e-6)
    assert y.tolist() == [0, 1, 2, 3]
    assert repr(T.Compose([T.CenterCrop(3)])) == "Compose(transforms=[CenterCrop(size=3)])"


def test_arguments_that_are_wrong() -> None:
    for make, match in (
        (lambda: T.RandomHorizontalFlip(1.5), r"p must be in \[0, 1\]"),
        (lambda: T.ColorJitter(brightness=-1), "brightness must not be negative"),
        (lambda: T.ColorJitter(hue=0.6), r"hue must be within \[-0\.5, 0\.5\]"),
        (lambda: T.RandomCrop(40)(RGB), "is larger than the image"),
        (lambda: T.RandomCrop((1, 2, 3)), "one for height and one for width"),
        (lambda: F.pad(RGB, [1, 2, 3]), "1, 2 or 4 integers"),
        (lambda: F.adjust_hue(np.zeros((2, 3, 3), np.float32), 0.1), "1 or 3, H, W"),
        (lambda: T.RandomResizedCrop(3, scale=(1.0, 0.5)), "must be a range above 0"),
    ):
        with pytest.raises(ggml.ArgumentError, match=match):
            make()
    with pytest.raises(ggml.DTypeError, match="an image of Pillow's, or an array or tensor"):
        F.hflip("x")
