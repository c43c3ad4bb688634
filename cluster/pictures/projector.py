"""The file that makes rows of pictures (mmproj), checked by our own reader: mtmd answers a bad one with abort()."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from cluster.api.errors import ModelFileError, UnsupportedModelError, UsageError
from ggml.gguf.errors import GgufError
from ggml.gguf.header import Header
from ggml.gguf.reader import read_header
from ggml.gguf.value import ValueType

ARCHITECTURE = "clip"
# By the projector's type, the tensor whose rows are as many as an embedding has values. Each family was compared with
# mtmd on the whole model, bit for bit; others have positions, or an attention, that stages do not know yet.
WIDTH_TENSORS = {"mlp": "mm.2.weight"}
# Bounds of what the encoder's graph is made of; the largest that are known are a tenth of them.
_MOST = {
    "image_size": 8192,
    "patch_size": 512,
    "embedding_length": 1 << 16,
    "feed_forward_length": 1 << 18,
    "block_count": 512,
    "projection_dim": 1 << 17,
    "attention.head_count": 1024,
}
MAX_PATCHES = 1 << 16


@dataclass(frozen=True, slots=True)
class Projector:
    """A checked file, and what is known of its rows."""

    path: str
    type: str
    row_width: int  # values of a row: the embedding width of the models that it was made for


def open_projector(path: str) -> Projector:
    """The file at `path`. ModelFileError unless it is a sound GGUF with an encoder of pictures; UnsupportedModelError
    for one of another family than those in WIDTH_TENSORS; UsageError where there is no file."""
    try:
        header = read_header(path)
    except GgufError as error:
        raise ModelFileError(str(error)) from error
    except OSError as error:
        raise UsageError(f"mmproj: {path}: {error.strerror or error}; give the mmproj file of the model") from error
    try:
        return _checked(header)
    except GgufError as error:
        raise ModelFileError(str(error)) from error


def check_fits(projector: Projector, width: int, model: str) -> None:
    """UsageError unless its rows are as wide as the embeddings of the model."""
    if projector.row_width != width:
        raise UsageError(
            f"mmproj: {projector.path}: its rows have {projector.row_width} values, the embeddings of {model} {width}; "
            "give the mmproj file that was made for this model"
        )


def _checked(header: Header) -> Projector:
    if header.get("general.architecture", ValueType.STRING) != ARCHITECTURE:
        raise ModelFileError(f"{header.path}: general.architecture: not {ARCHITECTURE}; this is no mmproj file")
    if header.get("clip.has_vision_encoder", ValueType.BOOL) is not True:
        raise ModelFileError(f"{header.path}: clip.has_vision_encoder: not true; this file is not for pictures")
    kind = _type_of(header)
    numbers = {name: _number(header, name, most) for name, most in _MOST.items()}
    if numbers["image_size"] // numbers["patch_size"] < 1:
        _refuse(header, "clip.vision.patch_size", f"{numbers['patch_size']} is more than image_size")
    if (numbers["image_size"] // numbers["patch_size"]) ** 2 > MAX_PATCHES:
        _refuse(header, "clip.vision.patch_size", f"more than {MAX_PATCHES} patches in a picture")
    if numbers["embedding_length"] % numbers["attention.head_count"]:
        _refuse(header, "clip.vision.attention.head_count", "does not divide embedding_length")
    tensors = {tensor.name: tensor for tensor in header.tensors}
    wide = tensors.get(WIDTH_TENSORS[kind])
    if wide is None or len(wide.shape) != 2:
        _refuse(header, WIDTH_TENSORS[kind], "missing, or no matrix")
    return Projector(header.path, kind, wide.shape[0])


def _type_of(header: Header) -> str:
    found = header.get("clip.projector_type", ValueType.STRING)
    found = found or header.get("clip.vision.projector_type", ValueType.STRING)
    if found not in WIDTH_TENSORS:
        known = ", ".join(WIDTH_TENSORS)
        raise UnsupportedModelError(
            f"{header.path}: clip.projector_type: {str(found)[:40]!r} is not served; give a model whose projector is "
            f"one of: {known}"
        )
    if header.get("clip.has_audio_encoder", ValueType.BOOL):
        raise UnsupportedModelError(
            f"{header.path}: clip.has_audio_encoder: sounds are not served; give a file without"
        )
    if "clip.vision.image_grid_pinpoints" in header.metadata:
        raise UnsupportedModelError(
            f"{header.path}: clip.vision.image_grid_pinpoints: pictures in tiles are not served; give a model without"
        )
    return str(found)


def _number(header: Header, name: str, most: int) -> int:
    key = f"clip.vision.{name}"
    value = header.uint32(key)
    if not 1 <= value <= most:
        _refuse(header, key, f"{value} is not within 1 to {most}")
    return value


def _refuse(header: Header, field: str, why: str) -> NoReturn:
    raise ModelFileError(f"{header.path}: {field}: {why}")
