"""What must be there before torchvision is imported, which transformers does as well.

Its wheel on PyPI is built for CUDA, and its compiled operations do not load beside a torch for the CPU. It then fails
while it is imported, because it describes operations that nobody has defined. The models here call none of them.
"""

from __future__ import annotations

import importlib.util

import torch

_SCHEMAS = dict.fromkeys(("nms", "qnms"), "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def define() -> None:
    """Give torchvision the schemas that it looks up, unless its own are there."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name, schema in _SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                torch.library.define(f"torchvision::{name}", schema)
