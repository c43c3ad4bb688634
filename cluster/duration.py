"""Lengths of time as people write them: 90s, 5m, 1h, 7d."""

from __future__ import annotations

import re

from cluster.api.errors import UsageError

_FORM = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(name: str, text: object) -> int:
    """How long `text`, the value of `name`, is in seconds. UsageError for what is no length of time, or none at all."""
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{name}: {text!a} is not possible; give a number with a unit, such as 90s, 5m or 1h")
    return int(found[1]) * _UNIT_S[found[2]]
