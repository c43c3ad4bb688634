"""The field `images`: pictures in base64, in front of a text."""

from __future__ import annotations

from cluster.chat.pictures import picture_of_base64
from cluster.http.faces.fields import Fields


def images_of(fields: Fields) -> list[bytes]:
    """The pictures of a message, or of a prompt. UsageError for what is none."""
    images, field = fields.items("images"), fields.name_of("images")
    if not all(isinstance(one, str) for one in images):
        raise fields.wrong("images", "some are no strings; give pictures in base64")
    return [picture_of_base64(one, f"{field}[{place}]") for place, one in enumerate(images)]
