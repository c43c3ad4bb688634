"""What a picture says of itself at its beginning: looked at before anything decodes it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from cluster.api.errors import UsageError
from cluster.api.pictures import MAX_PICTURE_BYTES

# Decoded, a pixel takes 3 bytes, and while it is decoded several times that; a photograph has 12 million.
MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384  # of pixels
MAX_RATIO = 200  # of the longer side to the shorter one: preprocessors divide by the shorter one
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GIF = (b"GIF87a", b"GIF89a")
# Of a JPEG's markers those that begin a frame, with its size: all of C0 to CF but tables and restarts.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # have no length behind them


class PictureSize(NamedTuple):
    """In pixels."""

    width: int
    height: int


def check_picture(data: bytes, field: str) -> PictureSize:
    """The size of a PNG, JPEG or GIF, as its header says. UsageError for anything else, and for one that is too large.

    A small file may say that it is huge: it is refused by its header, and never unpacked.
    """
    if len(data) > MAX_PICTURE_BYTES:
        raise UsageError(f"{field}: a picture of {len(data)} bytes; give at most {MAX_PICTURE_BYTES}")
    size = _size_of(data)
    if size is None:
        raise UsageError(f"{field}: this is no whole PNG, JPEG or GIF; give a picture in one of these formats")
    short, long = sorted(size)
    if short < 1 or long > MAX_SIDE or short * long > MAX_PIXELS or long > MAX_RATIO * short:
        raise UsageError(
            f"{field}: a picture of {size.width} x {size.height} pixels; give one of at most {MAX_PIXELS} pixels, no "
            f"side longer than {MAX_SIDE}, nor than {MAX_RATIO} times the other"
        )
    return size


def _size_of(data: bytes) -> PictureSize | None:
    if data.startswith(_PNG):
        return PictureSize(*struct.unpack(">II", data[16:24])) if data[12:16] == b"IHDR" and len(data) >= 33 else None
    if data.startswith(_GIF):
        return PictureSize(*struct.unpack("<HH", data[6:10])) if len(data) >= 13 else None
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _jpeg_size(data: bytes) -> PictureSize | None:
    """Of its first frame; all frames of a file that decoders take have the same."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fills up
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAMES:
            return _frame_size(data[at + 5 : at + 9])
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2:
                return None
            at += 2 + length
    return None


def _frame_size(data: bytes) -> PictureSize | None:
    if len(data) < 4:
        return None
    height, width = struct.unpack(">HH", data)
    return PictureSize(width, height)
