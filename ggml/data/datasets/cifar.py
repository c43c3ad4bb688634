"""CIFAR-10 and CIFAR-100, in the files for Python from https://www.cs.toronto.edu/~kriz/cifar.html.

These are pickles, which are read without running anything that they name: see ``restricted``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ggml.core.errors import FileFormatError
from ggml.data.datasets import restricted
from ggml.data.datasets.labelled import LabelledImages, Transform, find_file, refuse_download


class CIFAR10(LabelledImages):
    """32 x 32 images of ten classes, from ``root/cifar-10-batches-py`` or from ``root`` itself."""

    folder: ClassVar[str] = "cifar-10-batches-py"
    train_files: ClassVar[tuple[str, ...]] = tuple(f"data_batch_{number}" for number in range(1, 6))
    test_files: ClassVar[tuple[str, ...]] = ("test_batch",)
    meta: ClassVar[tuple[str, str]] = ("batches.meta", "label_names")
    label_key: ClassVar[str] = "labels"

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Transform = None,
        target_transform: Transform = None,
        download: bool = False,
        *,
        as_array: bool = False,
    ) -> None:
        refuse_download(type(self).__name__, download)
        self.train = train
        self.classes = self._names(root)
        images, targets = [], []
        for name in self.train_files if train else self.test_files:
            path = self._file(root, name)
            pixels, labels = self._batch(path, restricted.load(path))
            images.append(pixels)
            targets.extend(labels)
        # The files have planes; images are [H, W, C].
        data = np.ascontiguousarray(np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        super().__init__(data, targets, transform, target_transform, as_array)

    def _file(self, root: str | Path, name: str) -> Path:
        return find_file(type(self).__name__, root, (f"{self.folder}/{name}", name))

    def _names(self, root: str | Path) -> list[str]:
        path = self._file(root, self.meta[0])
        names = _entry(path, restricted.load(path), self.meta[1])
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise FileFormatError(str(path), self.meta[1], "is no list of names")
        return names

    def _batch(self, path: Path, found: Any) -> tuple[Any, list[int]]:
        pixels, labels = _entry(path, found, "data"), _entry(path, found, self.label_key)
        if (
            not isinstance(pixels, np.ndarray)
            or pixels.dtype != np.uint8
            or pixels.ndim != 2
            or pixels.shape[1] != 3072
        ):
            raise FileFormatError(str(path), "data", "is no array of uint8 [N, 3072]")
        if not isinstance(labels, list) or len(labels) != len(pixels):
            raise FileFormatError(str(path), self.label_key, f"is no list of {len(pixels)} classes")
        if not all(type(one) is int and 0 <= one < len(self.classes) for one in labels):
            raise FileFormatError(str(path), self.label_key, f"has a class that is not in [0, {len(self.classes)})")
        return pixels, labels


class CIFAR100(CIFAR10):
    """32 x 32 images of a hundred classes, from ``root/cifar-100-python`` or from ``root`` itself."""

    folder = "cifar-100-python"
    train_files = ("train",)
    test_files = ("test",)
    meta = ("meta", "fine_label_names")
    label_key = "fine_labels"


def _entry(path: Path, found: Any, key: str) -> Any:
    """The value of a key, which is a text or, where the file was pickled otherwise, bytes."""
    if not isinstance(found, dict):
        raise FileFormatError(str(path), "pickle", f"holds a {type(found).__name__}; expected a dict")
    for spelling in (key, key.encode()):
        if spelling in found:
            value = found[spelling]
            if isinstance(value, list) and value and all(isinstance(one, bytes) for one in value):
                return [one.decode("latin1") for one in value]
            return value
    raise FileFormatError(str(path), key, "is missing")
