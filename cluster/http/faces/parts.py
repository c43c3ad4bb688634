"""Content that is a string or a list of parts, as one text."""

from __future__ import annotations

from collections.abc import Callable

from cluster.chat.pictures import Picture, joined_parts, picture_of_url
from cluster.http.faces.fields import Fields, described, objects

# By the type of a part, the field that holds its text.
TEXT_FIELDS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
UNREADABLE = frozenset(
    {"image", "document", "image_url", "input_image", "input_file", "input_audio", "input_video", "file", "audio"}
)
PICTURES = frozenset({"image_url", "input_image"})
BETWEEN_PARTS = "\n"  # templates that take a text get one


def content_text(fields: Fields, name: str, skipped: Callable[[str], None]) -> str:
    """The text of a field that is a string, null, or a list of parts.

    Args:
        fields: the message or item that has the field.
        name: the field's.
        skipped: is told the path of a part of a type that is not known, which is left out.

    Raises:
        UsageError: another type of value, or a part that a model of text cannot read.
    """
    value = fields.any(name)
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise fields.wrong(name, f"{described(value)}; give a string or a list of parts")
    texts = [part_text(part, skipped) for part in objects(value, fields.name_of(name))]
    return BETWEEN_PARTS.join(text for text in texts if text)


def content_parts(fields: Fields, name: str, skipped: Callable[[str], None]) -> tuple[str, tuple[Picture, ...]]:
    """The same of a message of a user, which may have pictures: as `joined_parts` gives them."""
    value = fields.any(name)
    if not isinstance(value, list):
        return joined_parts([content_text(fields, name, skipped)])
    parts = [_part(part, skipped) for part in objects(value, fields.name_of(name))]
    return joined_parts([part for part in parts if part])


def _part(part: Fields, skipped: Callable[[str], None]) -> str | Picture:
    if part.text("type", "text") not in PICTURES:
        return part_text(part, skipped)
    part.skip("detail")  # how large it is looked at is the encoder's
    if part.any("file_id"):
        raise part.wrong("file_id", "files are not kept here; give the picture itself, as image_url")
    given = part.any("image_url")
    inner = part.inner("image_url") if isinstance(given, dict) else None
    if inner is not None:
        inner.skip("detail")
        return picture_of_url(inner.text("url"), inner.name_of("url"))
    return picture_of_url(part.text("image_url"), part.name_of("image_url"))


def part_text(part: Fields, skipped: Callable[[str], None]) -> str:
    """The text of one part; of a type that is not known, what its field `text` holds, if it is a string."""
    kind = part.text("type", "text")
    if kind in UNREADABLE:
        raise part.wrong("type", f"{kind} cannot be read by this model; give parts of text")
    if kind in TEXT_FIELDS:
        return part.text(TEXT_FIELDS[kind])
    skipped(part.name_of("type"))
    text = part.any("text")
    return text if isinstance(text, str) else ""
