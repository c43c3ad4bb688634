"""What both of Ollama's requests have: options, the form of the answer, thinking, and how long a model stays."""

from __future__ import annotations

from typing import Any

from cluster.api.sampling import SamplingParams
from cluster.chat.messages import FormatKind, ResponseFormat
from cluster.http.faces.face import Body
from cluster.http.faces.fields import PLAIN_SAMPLING, Fields, described, sampling

SAMPLING = {**PLAIN_SAMPLING, "num_predict": "max_tokens"}
NONE_LEFT = ("0", "0s", "0m", "0h", "0ms")  # a keep_alive that ends at once


def params_of(fields: Fields, ignored: list[str]) -> SamplingParams:
    """Of `options`, `logprobs` and `top_logprobs`. Options that mean nothing here are added to `ignored`."""
    options = fields.inner("options") or Fields({}, "options")
    num_top = fields.whole("top_logprobs") or 0
    params = sampling(options, SAMPLING, max_tokens=None, logprobs=num_top)
    ignored.extend(options.name_of(name) for name in options.unread())
    return params


def format_of(fields: Fields) -> ResponseFormat:
    """`format`: "json", or a JSON schema; "" is any text."""
    value = fields.any("format")
    if value is None or value == "":
        return ResponseFormat()
    if value == "json":
        return ResponseFormat(FormatKind.JSON_OBJECT)
    if isinstance(value, dict):
        return ResponseFormat(FormatKind.JSON_SCHEMA, value)
    raise fields.wrong("format", f'{described(value)}; give "json" or a JSON schema')


def thinking_of(fields: Fields) -> dict[str, Any]:
    """`think`, by the names that templates have for it: true, false, or how much."""
    value = fields.any("think")
    if value is None or value == "":
        return {}
    if isinstance(value, bool):
        return {"enable_thinking": value}
    if isinstance(value, str):
        return {"enable_thinking": True, "reasoning_effort": value}
    raise fields.wrong("think", f"{described(value)}; give true, false, or a level such as low")


def is_unload(body: Body) -> bool:
    """The model is not to be kept in memory. Ours stays: others use it, too."""
    value = body.get("keep_alive")
    return value in NONE_LEFT if isinstance(value, str) else value == 0 and not isinstance(value, bool)
