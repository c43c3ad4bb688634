"""The sandbox that templates run in: what transformers gives them, and no more.

It keeps a template from everything but its variables. It does not keep it from taking time and memory: that is for the
process around it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn

from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from cluster.chat.templates.generation import Generation

# What jinja2 has and no chat template uses.
_NEEDLESS = ("lipsum", "cycler", "joiner")


def make_environment() -> SandboxedEnvironment:
    """Lists may be changed, as some templates do: the variables of a render must be its own."""
    environment = SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    for name in _NEEDLESS:
        del environment.globals[name]
    environment.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
    environment.filters |= {"tojson": _tojson, "from_json": json.loads}
    return environment


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    """The date. No time of day: a prompt that differs with each request would be computed anew each time."""
    return datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).strftime(form)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as models have learned it; jinja2's own is made for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=_listed
    )


def _listed(value: Any) -> list[Any]:
    """What a filter such as `map` gives is no list yet."""
    if not isinstance(value, Iterable):
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return list(value)
