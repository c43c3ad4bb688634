"""What templates of each family write for two calls: get_weather with a city and days, and now without arguments."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cluster.chat.messages import ToolCall

CITY = 'Paris "x" </b> {é}\nFrance'
ARGUMENTS = {"city": CITY, "days": 3, "units": {"wind": ["km/h", True, None]}}
WEATHER_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "units": {
            "type": "object",
            "properties": {"wind": {"type": "array", "items": {}}},
        },
    },
    "required": ["city"],
}
NOW_SCHEMA: dict[str, object] = {}
PARAMETERS = {"get_weather": WEATHER_SCHEMA, "now": NOW_SCHEMA}
CALLS = (
    ToolCall("abc123456", "get_weather", json.dumps(ARGUMENTS, ensure_ascii=False)),
    ToolCall("def123456", "now", "{}"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model writes, and what it means."""

    text: str
    content: str
    calls: tuple[tuple[str, object], ...]  # (name, arguments)
