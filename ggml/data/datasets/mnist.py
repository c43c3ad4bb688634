"""MNIST and what has its format: idx files, also compressed by gzip.

The format, from http://yann.lecun.com/exdb/mnist: two zero bytes, a type, the number of axes, each extent as a 32-bit
integer, all of them big-endian, then the elements.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import FileFormatError
from ggml.data.datasets.labelled import LabelledImages, Transform, find_file, refuse_download

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

# No stream of deflate is larger than its file times this.
_LARGEST_RATIO = 1032


def read_idx(path: str | Path) -> NDArray[Any]:
    """The array of an idx file. FileFormatError if its header and its size do not fit together."""
    place, num_bytes = str(path), Path(path).stat().st_size
    is_packed = place.endswith(".gz")
    try:
        with gzip.open(path, "rb") if is_packed else open(path, "rb") as file:
            limit = num_bytes * _LARGEST_RATIO if is_packed else num_bytes
            return _read(place, cast(BinaryIO, file), limit)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(place, "gzip", str(error)) from None


def _read(path: str, file: BinaryIO, limit: int) -> NDArray[Any]:
    """``limit`` is more bytes than the file can have: a header that asks for more is wrong before memory is taken."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 8:
        raise FileFormatError(path, "magic", f"{magic.hex(' ')} does not begin an idx file")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise FileFormatError(path, "extents", f"the file ends after {len(header)} of {4 * magic[3]} bytes")
    shape = [int(extent) for extent in np.frombuffer(header, ">u4")]
    dtype = np.dtype(_TYPES[magic[2]])
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > limit:
        raise FileFormatError(path, "extents", f"{shape} are {wanted} bytes, which the file cannot have")
    data = file.read(wanted + 1)
    if len(data) != wanted:
        found = f"{len(data)}" if len(data) < wanted else "more"
        raise FileFormatError(path, "elements", f"{shape} are {wanted} bytes, and there are {found}")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


class MNIST(LabelledImages):
    """28 x 28 images of digits, from ``train-images-idx3-ubyte`` and its three siblings, with or without ``.gz``.

    They lie in ``root``, or in ``root/NAME/raw`` where torchvision puts them (NAME is the name of this class).
    """

    classes = tuple(f"{number} - {name}" for number, name in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    ))  # fmt: skip

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
        name = type(self).__name__
        refuse_download(name, download)
        part, found = "train" if train else "t10k", []
        for kind in ("images-idx3", "labels-idx1"):
            files = [f"{part}-{kind}-ubyte{end}" for end in ("", ".gz")]
            found.append(find_file(name, root, [f"{folder}{one}" for folder in (f"{name}/raw/", "") for one in files]))
        images, labels = (read_idx(path) for path in found)
        if images.dtype != np.uint8 or images.ndim != 3:
            raise FileFormatError(str(found[0]), "extents", f"{images.shape} of {images.dtype} are no images")
        if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise FileFormatError(str(found[1]), "extents", f"{labels.shape} labels for {len(images)} images")
        if len(labels) and labels.max() >= len(self.classes):
            raise FileFormatError(str(found[1]), "labels", f"{labels.max()} is no class of {len(self.classes)}")
        super().__init__(images, labels.tolist(), transform, target_transform, as_array)
        self.train = train


class FashionMNIST(MNIST):
    """MNIST's format with clothes."""

    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
