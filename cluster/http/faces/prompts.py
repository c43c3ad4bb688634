"""Prompts as OpenAI's and llama-server's APIs for completions take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.http.faces.fields import Fields, described
from cluster.http.limits import MAX_PROMPTS

Prompt = str | tuple[int, ...]


def prompts_of(fields: Fields, name: str = "prompt", most: int = MAX_PROMPTS) -> tuple[Prompt, ...]:
    """A text, token ids, or a list of such, of `most` at most. UsageError that names the place."""
    value = fields.any(name)
    if value is None:
        raise fields.wrong(name, "there is none; give a string, token ids, or a list of those")
    if isinstance(value, list) and not _is_token_ids(value):
        if len(value) > most:
            raise fields.wrong(name, f"{len(value)} of them; give at most {most}")
        if not value:
            raise fields.wrong(name, "the list is empty; give at least one prompt")
        return tuple(_prompt(fields, f"{name}[{place}]", one) for place, one in enumerate(value))
    return (_prompt(fields, name, value),)


def is_several(fields: Fields, name: str = "prompt") -> bool:
    """Whether a list of prompts was given, be it of one."""
    value = fields.any(name)
    return isinstance(value, list) and not _is_token_ids(value)


def _prompt(fields: Fields, name: str, value: Any) -> Prompt:
    if isinstance(value, dict) and isinstance(value.get("prompt_string"), str):  # llama-server's
        if value.get("multimodal_data"):
            raise fields.wrong(name, "this model reads no images or sounds; leave multimodal_data out")
        return str(value["prompt_string"])
    if isinstance(value, str):
        return value
    if isinstance(value, list) and _is_token_ids(value):
        return tuple(value)
    if isinstance(value, list):
        raise fields.wrong(name, "texts and token ids are mixed in it; give one kind, or tokenize the texts first")
    raise fields.wrong(name, f"{described(value)}; give a string or token ids")


def _is_token_ids(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
