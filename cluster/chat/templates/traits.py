"""What a template can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Where a template is from."""

    MODEL = "model"
    OVERRIDE = "override"
    FALLBACK = "fallback"  # the model has none


class CallIds(StrEnum):
    """What ids of tool calls a template takes."""

    ANY = "any"
    NINE = "nine"  # of exactly nine letters and digits
    NAMED = "named"  # functions.NAME:INDEX, which is how the model reads the name


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """Found by `probes.find_traits`; the defaults are those of a template that takes everything."""

    source: Source = Source.MODEL
    failure: str = ""  # why it cannot be used at all
    takes_tools: bool = True
    takes_calls: bool = True  # writes calls of earlier turns, and what tools answered
    takes_system: bool = True
    takes_system_anywhere: bool = True  # behind the first message, too
    takes_users_in_a_row: bool = True
    takes_response_format: bool = False
    content_in_parts: bool = False  # content is a list of parts
    null_content: bool = False  # beside calls, content that is empty must be null
    arguments_as_text: bool = False  # of calls: JSON text; else an object
    call_ids: CallIds = CallIds.ANY
    reasoning_key: str = ""  # of a message; empty where earlier reasoning is dropped
