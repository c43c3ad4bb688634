"""The kinds of projectors that are served, by their names."""

from __future__ import annotations

from cluster.pictures.projectors.kind import ProjectorKind
from cluster.pictures.projectors.mlp import MLP
from cluster.pictures.projectors.paddleocr import PADDLE_OCR
from cluster.pictures.projectors.qwen import QWEN2_VL, QWEN3_VL, QWEN25_VL

KINDS: dict[str, ProjectorKind] = {kind.name: kind for kind in (MLP, QWEN2_VL, QWEN25_VL, QWEN3_VL, PADDLE_OCR)}
