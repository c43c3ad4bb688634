"""What an image is: one of Pillow's, or an array or tensor [..., C, H, W].

Tensors are handled as arrays in the CPU's memory: a graph for each sample would cost more than what it computes.
"""

from __future__ import annotations

import enum
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError
from ggml.ops.create.factories import put
from ggml.tensors.tensor import Tensor


class InterpolationMode(enum.Enum):
    """torchvision's names of what resizing does between pixels."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's numbers of them.
PILLOW_MODES = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}


def is_pil(image: Any) -> bool:
    """Whether it is an image of Pillow's, which is not imported to find out."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def pixels(op: str, image: Any) -> NDArray[Any]:
    """The array [..., C, H, W] of an array or tensor. DTypeError for what is no image."""
    if isinstance(image, Tensor):
        plain = image.float() if image.dtype is dtypes.bfloat16 else image
        image_array: NDArray[Any] = plain.numpy()
    elif isinstance(image, np.ndarray):
        image_array = image
    else:
        raise DTypeError(op, "an image of Pillow's, or an array or tensor [..., C, H, W]", type(image).__name__)
    if image_array.ndim < 2:
        raise ArgumentError(op, "image", f"must have at least the axes H and W, and has the shape {image_array.shape}")
    return image_array


def like(image: Any, array: NDArray[Any]) -> Any:
    """The array as what the image is: a tensor of the same dtype in the same place, or an array."""
    if isinstance(image, Tensor):
        return put(array, image.dtype, image.device)
    return np.ascontiguousarray(array)


def get_dimensions(image: Any) -> list[int]:
    """Channels, height, width."""
    if is_pil(image):
        width, height = image.size
        return [len(image.getbands()), height, width]
    shape = pixels("get_dimensions", image).shape
    return [shape[-3] if len(shape) > 2 else 1, shape[-2], shape[-1]]


def largest(array: NDArray[Any]) -> float:
    """The value of white: 1 for floats, the largest one of integers."""
    return 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)


def pair(op: str, size: Any) -> tuple[int, int]:
    """Height and width of a number, or of one or two of them."""
    values = [size] if isinstance(size, int) else list(size)
    if len(values) not in (1, 2) or any(isinstance(one, bool) or not isinstance(one, int) for one in values):
        raise ArgumentError(op, "size", f"must be an integer or one for height and one for width, and is {size!r}")
    if min(values) <= 0:
        raise ArgumentError(op, "size", f"must be positive, and is {size!r}")
    return values[0], values[-1]
