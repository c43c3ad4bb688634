"""Pictures as they come with messages: as data URLs, or from programs as bytes and paths."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Sequence
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.pictures import MAX_PICTURE_BYTES
from cluster.chat.messages import PICTURE, PictureUrl

_DATA = "data:"
_REMOTE = ("http://", "https://")
_BASE64 = ";base64"


Picture = bytes | PictureUrl


def joined_parts(parts: Sequence[str | Picture]) -> tuple[str, tuple[Picture, ...]]:
    """Texts and pictures as one text, with PICTURE in the place of each picture; and the pictures.

    Texts next to each other are joined by line ends: most templates know only one text.
    """
    pictures = tuple(part for part in parts if not isinstance(part, str))
    texts = [part.replace(PICTURE, "") if isinstance(part, str) else PICTURE for part in parts]
    joined = "".join(
        f"\n{text}" if place and PICTURE not in (text, texts[place - 1]) else text for place, text in enumerate(texts)
    )
    return joined, pictures


def picture_of_url(url: str, field: str) -> Picture:
    """The bytes of a data URL, or where a picture is, by http or https. UsageError for any other."""
    if url[: len(_REMOTE[1])].lower().startswith(_REMOTE):
        return PictureUrl(url, field)
    if not url[: len(_DATA)].lower() == _DATA:
        raise not_fetched(url, field)
    kind, comma, data = url[len(_DATA) :].partition(",")
    if not comma or not kind.lower().endswith(_BASE64):
        raise UsageError(f"{field}: this data URL is not in base64; give data:image/png;base64,...")
    return picture_of_base64(data, field)


def files_of(pictures: Iterable[Picture]) -> list[bytes]:
    """The pictures themselves. UsageError for one that nobody has fetched."""
    found = []
    for one in pictures:
        if isinstance(one, PictureUrl):
            raise not_fetched(one.url, one.field)
        found.append(one)
    return found


def not_fetched(url: str, field: str) -> UsageError:
    """Nothing is fetched for whoever asks, unless the server was told so."""
    return UsageError(
        f"{field}: {url[:40]!r} is no data URL, and the server fetches nothing from other places; give the picture "
        "itself, as data:image/png;base64,..."
    )


def picture_of_base64(data: str, field: str) -> bytes:
    """UsageError for a text that is no base64, or too long."""
    if len(data) * 3 // 4 > MAX_PICTURE_BYTES + 2:
        raise UsageError(f"{field}: a picture of more than {MAX_PICTURE_BYTES} bytes; give a smaller one")
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"{field}: this is no base64 ({error}); give the bytes of a picture in it") from error
    if not found:
        raise UsageError(f"{field}: a picture without a byte; give a whole one")
    return found


def picture_of_program(value: Any, field: str) -> bytes:
    """Bytes as they are, or those of the file at a path; what comes as JSON can be neither. UsageError."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, os.PathLike):
        raise UsageError(f"{field}: {type(value).__name__} is no picture; give bytes, or a pathlib.Path")
    try:
        with open(value, "rb") as file:
            return file.read(MAX_PICTURE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{field}: {os.fspath(value)}: {error.strerror or error}; give the path of a picture"
        ) from error
