"""Images in folders: one folder for each class, as ImageNet is unpacked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ggml.core.errors import ArgumentError, FileFormatError
from ggml.data.dataset import Dataset
from ggml.data.datasets.labelled import Transform
from ggml.data.datasets.pillow import pillow

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def default_loader(path: str) -> Any:
    """The image of a file, as RGB. FileFormatError where Pillow cannot read it."""
    image = pillow("ImageFolder")
    try:
        with open(path, "rb") as file:
            return image.open(file).convert("RGB")
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
        raise FileFormatError(path, "image", str(error)) from None


class ImageFolder(Dataset[tuple[Any, Any]]):
    """The images of ``root/CLASS/**``; classes are numbered in the order of their names.

    A folder of a class without images is a FileNotFoundError unless ``allow_empty``. Links are followed, each once.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Transform = None,
        target_transform: Transform = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        if loader is default_loader:
            pillow("ImageFolder")  # not only when the first image is read, in a worker
        self.root, self.loader = str(root), loader
        self.transform, self.target_transform = transform, target_transform
        self.classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"ImageFolder: {root} has no folders, one of which would be a class")
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        wanted = is_valid_file or (lambda path: path.lower().endswith(IMG_EXTENSIONS))
        self.samples: list[tuple[str, int]] = []
        for name, number in self.class_to_idx.items():
            found = [path for path in _files(os.path.join(self.root, name)) if wanted(path)]
            if not found and not allow_empty:
                raise FileNotFoundError(f"ImageFolder: the folder of class {name!r} in {root} has no images")
            self.samples.extend((path, number) for path in found)
        self.targets = [number for _, number in self.samples]

    @property
    def imgs(self) -> list[tuple[str, int]]:
        """torchvision's other name of ``samples``."""
        return self.samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        sample = self.loader(path)
        return (
            sample if self.transform is None else self.transform(sample),
            target if self.target_transform is None else self.target_transform(target),
        )


def _files(folder: str) -> Iterator[str]:
    """All files below the folder, in the order of their names. A link to a folder above it would never end."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(names))


def _refuse(error: OSError) -> None:
    raise ArgumentError("ImageFolder", "root", f"has a folder that cannot be read: {error}")
