"""Figures that were measured once and are kept on disk, each under a key that says what they depend on."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cluster.api.errors import UsageError
from cluster.node.own_files import make_own_folder, read_own
from cluster.node.xdg import cache_folder

T = TypeVar("T")

MAX_FILE_BYTES = 1 << 20


def kept_folder() -> Path:
    """The cache folder for figures."""
    return cache_folder("measured")


def read_cached(kind: str, key: dict[str, Any], parse: Callable[[Any], T]) -> T | None:
    """What was kept for `key`; None where there is nothing, nothing of ours alone, or nothing that `parse` takes
    (ValueError and the like)."""
    data = read_own(_path(kind, key), MAX_FILE_BYTES)
    with suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        found = json.loads(data or b"")
        if found["key"] == key:
            return parse(found["value"])
    return None


def write_cached(kind: str, key: dict[str, Any], value: Any) -> None:
    """Replace what is kept for `key`. A folder that cannot be written only means measuring again."""
    path = _path(kind, key)
    with suppress(OSError, UsageError):
        make_own_folder(path.parent)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".kept-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"key": key, "value": value}, file)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


def _path(kind: str, key: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return kept_folder() / f"{kind}-{digest[:32]}.json"
