"""Images in memory with a class each, which the readers of one archive share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ArgumentError
from ggml.data.dataset import Dataset
from ggml.data.datasets.pillow import image

Transform = Callable[[Any], Any] | None


class LabelledImages(Dataset[tuple[Any, Any]]):
    """``data`` is uint8 [N, H, W] or [N, H, W, 3], ``targets`` one class for each.

    A sample is an image of Pillow's and a class, as torchvision's are. With ``as_array`` the image is an array [H, W]
    or [H, W, 3], which ``ToTensor`` takes, too, and Pillow is not needed.
    """

    classes: Sequence[str] = ()

    def __init__(
        self,
        data: NDArray[np.uint8],
        targets: Sequence[int],
        transform: Transform,
        target_transform: Transform,
        as_array: bool,
    ) -> None:
        self.data, self.targets, self.as_array = data, list(targets), as_array
        self.transform, self.target_transform = transform, target_transform

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        pixels, target = self.data[index], self.targets[index]
        sample = pixels if self.as_array else image(type(self).__name__, pixels)
        return (
            sample if self.transform is None else self.transform(sample),
            target if self.target_transform is None else self.target_transform(target),
        )


def refuse_download(op: str, download: bool) -> None:
    if download:
        raise ArgumentError(op, "download", "must be False: only files that lie on this machine are read")


def find_file(op: str, root: str | Path, places: Sequence[str]) -> Path:
    """The first of these files below ``root`` that is there; FileNotFoundError names them all."""
    for place in places:
        if (found := Path(root) / place).is_file():
            return found
    raise FileNotFoundError(f"{op}: none of {', '.join(places)} is in {root}; nothing is downloaded")
