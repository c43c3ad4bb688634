"""torchvision of another build than torch: its operations cannot be loaded, but models that use none of them can."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def make_importable() -> None:
    """Declare what ``import torchvision`` asks for, where its library does not fit this torch. Nothing if it does."""
    import torch

    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None or hasattr(torch.ops.torchvision, "nms"):
        return
    try:
        torch.ops.load_library(str(Path(found.origin).parent / "_C.so"))
    except OSError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
