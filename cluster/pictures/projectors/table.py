"""The kinds of projectors that are served, by their names."""

from __future__ import annotations

from cluster.pictures.projectors.gemma3 import GEMMA3
from cluster.pictures.projectors.gemma4v import GEMMA4V
from cluster.pictures.projectors.idefics3 import IDEFICS3
from cluster.pictures.projectors.internvl import INTERNVL
from cluster.pictures.projectors.kimivl import KIMIVL
from cluster.pictures.projectors.kind import ProjectorKind
from cluster.pictures.projectors.lightonocr import LIGHTONOCR
from cluster.pictures.projectors.llama4 import LLAMA4
from cluster.pictures.projectors.minicpmv import MINICPMV
from cluster.pictures.projectors.mlp import MLP
from cluster.pictures.projectors.paddleocr import PADDLE_OCR
from cluster.pictures.projectors.pixtral import PIXTRAL
from cluster.pictures.projectors.qwen import QWEN2_VL, QWEN3_VL, QWEN25_VL

KINDS: dict[str, ProjectorKind] = {
    kind.name: kind
    for kind in (
        MLP,
        GEMMA3,
        GEMMA4V,
        PIXTRAL,
        LIGHTONOCR,
        KIMIVL,
        INTERNVL,
        IDEFICS3,
        LLAMA4,
        MINICPMV,
        QWEN2_VL,
        QWEN25_VL,
        QWEN3_VL,
        PADDLE_OCR,
    )
}
