"""What stands beside a ``tokenizer.json``: which tokens end a text, and how a chat is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ggml.core.errors import FileFormatError
from ggml.gguf.limits import MAX_STRING_BYTES

# A configuration has kilobytes; with a chat template and all added tokens up to one or two megabytes.
_MAX_CONFIG_BYTES = min(16 << 20, MAX_STRING_BYTES)


def end_tokens(path: Path) -> list[int]:
    """Those that a configuration beside it names, the most usual one first; none where there is none."""
    for name in ("generation_config.json", "config.json"):
        found = _read(path.with_name(name)).get("eos_token_id")
        listed = found if isinstance(found, list) else [found]
        if found is not None:
            if not all(type(token) is int and 0 <= token < 2**31 for token in listed):
                raise FileFormatError(str(path.with_name(name)), "eos_token_id", "is no token, and no list of tokens")
            return list(dict.fromkeys(listed))
    return []


def chat_templates(path: Path) -> dict[str, str]:
    """By name; "" is the default one."""
    file = path.with_name("chat_template.jinja")
    if file.is_file() and file.stat().st_size <= _MAX_CONFIG_BYTES:
        return {"": file.read_text(encoding="utf-8")}
    found = _read(path.with_name("tokenizer_config.json")).get("chat_template")
    if isinstance(found, str):
        return {"": found}
    named = {}
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict) and isinstance(one.get("name"), str) and isinstance(one.get("template"), str):
            named["" if one["name"] == "default" else one["name"]] = one["template"]
    return named


def _read(file: Path) -> dict[str, Any]:
    """FileFormatError for a file that is no JSON; nothing where there is none."""
    if not file.is_file() or file.stat().st_size > _MAX_CONFIG_BYTES:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise FileFormatError(str(file), "file", "cannot be read: it is no JSON") from None
    return found if isinstance(found, dict) else {}
