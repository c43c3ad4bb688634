"""The file that makes rows of pictures (mmproj), checked by our own reader: mtmd answers a bad one with abort()."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.api.errors import ModelFileError, UnsupportedModelError, UsageError
from cluster.pictures.projectors.fields import MAX_PATCHES, number, refuse
from cluster.pictures.projectors.kind import ProjectorKind
from cluster.pictures.projectors.table import KINDS
from ggml.gguf.errors import GgufError
from ggml.gguf.header import Header
from ggml.gguf.reader import read_header
from ggml.gguf.value import ValueType

ARCHITECTURE = "clip"
# What a pixel takes, of three colours: as a number, unfolded for the first product, and as it came.
_PIXEL_BYTES = 36
_ROWS_OF_LAYER = 10  # of embedding_length, that are there at once for each patch
FLOAT_BYTES = 4
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


@dataclass(frozen=True, slots=True)
class Projector:
    """A checked file, and what is known of its rows."""

    path: str
    kind: ProjectorKind
    row_width: int  # values of a row, as the models take it that it was made for
    memory_bytes: int  # that the encoder takes: its weights, and about what it works in
    whole_rows: int = 0  # most rows of a picture that see each other, and go into one microbatch; 0: none do


def open_projector(path: str) -> Projector:
    """The file at `path`. ModelFileError unless it is a sound GGUF with an encoder of pictures; UnsupportedModelError
    for one of a kind that is not in KINDS; UsageError where there is no file."""
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
    """UsageError unless its rows are as wide as those that the model takes in the place of tokens."""
    if projector.row_width != width:
        raise UsageError(
            f"mmproj: {projector.path}: its rows have {projector.row_width} values, those of {model} {width}; "
            "give the mmproj file that was made for this model"
        )


def check_room(projector: Projector, ubatch_size: int) -> None:
    """UsageError where a picture whose rows see each other would not go into one microbatch of `ubatch_size` rows."""
    if projector.whole_rows > ubatch_size:
        raise UsageError(
            f"mmproj: {projector.path}: a picture has up to {projector.whole_rows} rows, which see each other, and "
            f"a microbatch {ubatch_size}; give --ubatch-size {projector.whole_rows} or more"
        )


def _checked(header: Header) -> Projector:
    if header.get("general.architecture", ValueType.STRING) != ARCHITECTURE:
        raise ModelFileError(f"{header.path}: general.architecture: not {ARCHITECTURE}; this is no mmproj file")
    if header.get("clip.has_vision_encoder", ValueType.BOOL) is not True:
        raise ModelFileError(f"{header.path}: clip.has_vision_encoder: not true; this file is not for pictures")
    kind = _kind_of(header)
    numbers = {name: number(header, name, most) for name, most in _MOST.items()}
    if numbers["image_size"] // numbers["patch_size"] < 1:
        refuse(header, "clip.vision.patch_size", f"{numbers['patch_size']} is more than image_size")
    if (numbers["image_size"] // numbers["patch_size"]) ** 2 > MAX_PATCHES:
        refuse(header, "clip.vision.patch_size", f"more than {MAX_PATCHES} patches in a picture")
    if numbers["embedding_length"] % numbers["attention.head_count"]:
        refuse(header, "clip.vision.attention.head_count", "does not divide embedding_length")
    row_width = kind.row_width(header)
    return Projector(header.path, kind, row_width, _memory_bytes(header, kind), kind.whole_rows(header))


def _memory_bytes(header: Header, kind: ProjectorKind) -> int:
    """Weights lie in memory as they are in the file. Beside them, of the patches that are seen at once, the pixels in
    several forms, and what two layers hold."""
    patches, patch_size = kind.most_patches(header), number(header, "patch_size", _MOST["patch_size"])
    width, hidden = (header.uint32(f"clip.vision.{name}") for name in ("embedding_length", "feed_forward_length"))
    weights = sum(tensor.size_bytes for tensor in header.tensors)
    return weights + patches * (_PIXEL_BYTES * patch_size**2 + FLOAT_BYTES * (_ROWS_OF_LAYER * width + 2 * hidden))


def _kind_of(header: Header) -> ProjectorKind:
    found = header.get("clip.projector_type", ValueType.STRING)
    found = found or header.get("clip.vision.projector_type", ValueType.STRING)
    kind = KINDS.get(str(found))
    if kind is None:
        known = ", ".join(KINDS)
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
    return kind
