"""Ids of calls that the text brings none for."""

from __future__ import annotations

import secrets
import string

from cluster.chat.formats.format import ToolFormat

_LETTERS = string.ascii_letters + string.digits
NUM_LETTERS = 24
NUM_MISTRAL_LETTERS = 9  # its templates refuse others


def new_call_id(form: ToolFormat) -> str:
    if "{id}" in form.call:
        return _random(NUM_MISTRAL_LETTERS)
    return f"call_{_random(NUM_LETTERS)}"


def _random(size: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(size))
