"""What a picture's header says decides, before anything is unpacked."""

from __future__ import annotations

import struct

import pytest

from cluster.api.errors import UsageError
from cluster.api.pictures import MAX_PICTURE_BYTES
from cluster.pictures.formats import check_picture
from tests.fakes.tiny_projector import png, png_of


def jpeg_header(width: int, height: int, frame: int = 0xC0) -> bytes:
    """A JPEG up to its frame, with another segment, a filling byte and a bare marker before it."""
    other = b"\xff\xe0" + struct.pack(">H", 18) + b"JFIF" + bytes(12)
    return (
        b"\xff\xd8"
        + other
        + b"\xff\x01"
        + b"\xff\xff"
        + bytes([frame])
        + struct.pack(">HBHHB", 17, 8, height, width, 3)
    )


GIF = b"GIF89a" + struct.pack("<HH", 7, 9) + bytes(3)


@pytest.mark.parametrize(
    ("data", "size"),
    [(png(40, 24), (40, 24)), (jpeg_header(640, 480), (640, 480)), (jpeg_header(5, 6, 0xC2), (5, 6)), (GIF, (7, 9))],
)
def test_the_size_is_that_of_the_header(data: bytes, size: tuple[int, int]) -> None:
    assert tuple(check_picture(data, "picture")) == size


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
        b"ID3\x04 a song",
        b"BM" + bytes(60),
        png()[:20],
        png().replace(b"IHDR", b"iHDR"),
        jpeg_header(640, 480)[:-8],
        b"\xff\xd8\xff\xe0\x00\x01" + bytes(40),
        b"\xff\xd8\xff\xe0\xff\xff",
        b"\xff\xd8\xff\xda\x00\x04\x00\x00\x00\x00",
        GIF[:9],
    ],
)
def test_what_is_no_whole_header_of_a_known_format_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"^messages\[1\]: this is no whole PNG, JPEG or GIF"):
        check_picture(data, "messages[1]")


@pytest.mark.parametrize(("width", "height"), [(20_000, 100), (16_000, 16_000), (0, 5), (4_000, 10), (2**31, 2**31)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    data = png_of(width, height, bytes(100))
    assert len(data) < 200
    with pytest.raises(UsageError, match=rf"^picture: a picture of {width} x {height} pixels; give one of at most"):
        check_picture(data, "picture")


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(UsageError, match=rf"a picture of {MAX_PICTURE_BYTES + 1} bytes; give at most"):
        check_picture(png().ljust(MAX_PICTURE_BYTES + 1, b"\0"), "picture")
