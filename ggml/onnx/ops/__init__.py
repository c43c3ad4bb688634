"""What writes rows as nodes and runs nodes as rows, by kind. Importing the room fills the table."""

from __future__ import annotations

from ggml.onnx.ops import (
    activations,
    attending,
    control_flow,
    convolutions,
    elementwise,
    joining,
    linear,
    looking_up,
    norms,
    pooling,
    recurrent,
    reductions,
    resizing,
    shapes,
    slicing,
)

__all__ = [
    "activations",
    "attending",
    "control_flow",
    "convolutions",
    "elementwise",
    "joining",
    "linear",
    "looking_up",
    "norms",
    "pooling",
    "recurrent",
    "reductions",
    "resizing",
    "shapes",
    "slicing",
]
