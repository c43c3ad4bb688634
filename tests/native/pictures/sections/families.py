"""Tiny models whose positions have sections (M-RoPE), with a tiny file for pictures, and what mtmd says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import worker_native
from cluster.messages.pictures import PicturedPrompt
from cluster.pictures.encoder import EncodedPicture, PictureEncoder, joined
from tests.fakes.projectors.paddleocr import PaddleProjector
from tests.fakes.projectors.qwen import QwenProjector
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.tiny_projector import TinyProjector, png, write_projector
from tests.native.arch_models import descriptions, write_described
from tests.native.pictures.whole import Whole

SECTIONS = (4, 6, 6, 0)  # of the 16 pairs of a head
# Of 5 x 5 rows, more than a window has, and of 2 columns and 5 lines.
PICTURES = (png(150, 130), png(24, 64, seed=1))
GRIDS = ((5, 5), (2, 5))
TEXTS = ("what is on this", " and on that", " say it")
NUM_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Family:
    """A model and its file for pictures, as shapes."""

    model: TinyModel
    projector: TinyProjector
    cuts: tuple[tuple[int, ...], ...] = ((), (2,), (1, 3))

    def write(self, folder: Path) -> tuple[Path, Path]:
        return write_tiny(folder / "model.gguf", self.model), write_projector(folder / "mmproj.gguf", self.projector)


@dataclass(frozen=True, slots=True)
class DescribedFamily:
    """A model of `tests.native.arch_models`, with the usual words in place of its tokens."""

    name: str
    projector: TinyProjector
    cuts: tuple[tuple[int, ...], ...] = ((), (4,), (2, 6))

    def write(self, folder: Path) -> tuple[Path, Path]:
        model = write_described(folder / "model.gguf", with_words(descriptions()[self.name]))
        return model, write_projector(folder / "mmproj.gguf", self.projector)


def with_words(description: Mapping[str, Any]) -> dict[str, Any]:
    words = TinyModel().vocabulary
    architecture = description["metadata"]["general.architecture"][1]
    metadata = description["metadata"] | {
        f"{architecture}.vocab_size": ["UINT32", len(words)],
        "tokenizer.ggml.model": ["STRING", "llama"],
        "tokenizer.ggml.tokens": ["ARRAY:STRING", [text for text, _ in words]],
        "tokenizer.ggml.scores": ["ARRAY:FLOAT32", [-float(place) for place in range(len(words))]],
        "tokenizer.ggml.token_type": ["ARRAY:INT32", [kind for _, kind in words]],
        "tokenizer.ggml.add_bos_token": ["BOOL", True],
        "tokenizer.ggml.bos_token_id": ["UINT32", 1],
        "tokenizer.ggml.eos_token_id": ["UINT32", 2],
    }
    tensors = [
        [name, [len(words), *shape[1:]] if name in ("token_embd.weight", "output.weight") else shape, kind]
        for name, shape, kind in description["tensors"]
    ]
    return {"metadata": metadata, "tensors": tensors}


_QWEN2 = TinyModel("qwen2vl", sections=SECTIONS)
_PLAIN_QWEN3 = QwenProjector(kind="qwen3vl_merger", row_width=256)
FAMILIES: dict[str, Family | DescribedFamily] = {
    "qwen2": Family(_QWEN2, QwenProjector()),
    "qwen2.5": Family(_QWEN2, QwenProjector(kind="qwen2.5vl_merger")),
    "qwen3": Family(
        TinyModel("qwen3vl", sections=SECTIONS, deepstack=3),
        QwenProjector(kind="qwen3vl_merger", num_layers=4, deepstack=(0, 1, 3)),
    ),
    "qwen3moe": Family(
        TinyModel("qwen3vlmoe", sections=SECTIONS, deepstack=2, num_experts=4),
        QwenProjector(kind="qwen3vl_merger", deepstack=(0, 2)),
    ),
    "paddleocr": Family(TinyModel("paddleocr", sections=SECTIONS), PaddleProjector()),
    # Some of their layers keep a running state.
    "qwen3.5": DescribedFamily("qwen35-dense", _PLAIN_QWEN3),
    "qwen3.5moe": DescribedFamily("qwen35moe-moe", _PLAIN_QWEN3),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """The files of a family, what mtmd says of TEXTS with PICTURES between them, and the prompt that this is."""

    model: Path
    projector: Path
    whole: Whole
    encoded: tuple[EncodedPicture, ...]
    prompt: PicturedPrompt


def prompt_of(model: Path, encoder: PictureEncoder) -> tuple[tuple[EncodedPicture, ...], PicturedPrompt]:
    vocab = worker_native.Vocab(str(model))
    encoded = tuple(encoder.encode(picture, "picture") for picture in PICTURES)
    texts = [vocab.tokenize(text, add_special=False).tolist() for text in TEXTS]
    return encoded, joined([[vocab.bos, *texts[0]], encoded[0], texts[1], encoded[1], texts[2]])
