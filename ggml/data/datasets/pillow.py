"""Pillow is needed by what reads or gives images, and only when it does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggml.core.errors import ModuleError


def pillow(op: str) -> Any:
    """The module ``PIL.Image``, or ModuleError that says how to get it."""
    try:
        import PIL.Image
    except ImportError:
        raise ModuleError(f"{op}: needs Pillow: pip install 'ggml-cluster[vision]'", "PIL") from None
    return PIL.Image


def image(op: str, array: NDArray[Any]) -> Any:
    """An image of Pillow's of a uint8 array [H, W] or [H, W, 3]."""
    return pillow(op).fromarray(np.ascontiguousarray(array))
