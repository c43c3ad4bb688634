"""From images to numbers as models take them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ggml.core import dtypes
from ggml.core.errors import ArgumentError, DTypeError
from ggml.data.collating import as_tensor
from ggml.ops.create.factories import put
from ggml.tensors.tensor import Tensor
from ggml.vision.transforms.functional.image import is_pil, like, pixels


def to_tensor(pic: Any) -> Tensor:
    """A tensor [C, H, W] of an image of Pillow's, or of an array [H, W, C] or [H, W]. Bytes become floats in [0, 1].

    There are no small integers: an array of another type keeps its values and becomes float32, int32 or int64.
    """
    if is_pil(pic):
        wide = {"I": np.int32, "I;16" if sys.byteorder == "little" else "I;16B": np.int16, "F": np.float32}
        array = np.array(pic, wide.get(pic.mode, np.uint8))
        array = array * np.uint8(255) if pic.mode == "1" else array
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise DTypeError("to_tensor", "an image of Pillow's or an array", type(pic).__name__)
    if array.ndim not in (2, 3):
        raise ArgumentError("to_tensor", "pic", f"must have 2 or 3 axes, and has the shape {array.shape}")
    planes = (array[:, :, None] if array.ndim == 2 else array).transpose(2, 0, 1)
    if planes.dtype == np.uint8:
        return put(planes.astype(np.float32) / np.float32(255), dtypes.float32, None)
    return as_tensor(planes)


def normalize(tensor: Any, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Any:
    """Each channel of a floating image less its mean, over its standard deviation."""
    array = pixels("normalize", tensor)
    if array.dtype.kind != "f":
        raise DTypeError("normalize", "floats, as to_tensor makes them", array.dtype)
    if array.ndim < 3:
        raise ArgumentError("normalize", "tensor", f"must be [..., C, H, W], and has the shape {array.shape}")
    center, spread = np.asarray(mean, array.dtype).reshape(-1), np.asarray(std, array.dtype).reshape(-1)
    if (spread == 0).any():
        raise ArgumentError("normalize", "std", f"has a zero: {list(std)}")
    if any(len(one) not in (1, array.shape[-3]) for one in (center, spread)):
        raise ArgumentError("normalize", "mean and std", f"must have 1 or {array.shape[-3]} values, one a channel")
    made = (array - center[:, None, None]) / spread[:, None, None]
    if not inplace:
        return like(tensor, made)
    if isinstance(tensor, Tensor):
        return tensor.copy_(like(tensor, made))
    tensor[...] = made
    return tensor
