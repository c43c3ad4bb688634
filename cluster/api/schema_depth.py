"""How deep a JSON schema, or what else is walked by recursion, may be nested."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.api.errors import UsageError

MAX_SCHEMA_DEPTH = 64


def check_depth(schema: object, field: str = "schema") -> None:
    """UsageError if it is nested more than MAX_SCHEMA_DEPTH deep. Nothing walks a schema before this has."""
    level = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise UsageError(f"{field}: it is nested more than {MAX_SCHEMA_DEPTH} deep; give a flatter one")


def _children(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [child for child in value.values() if isinstance(child, Mapping | list | tuple)]
    return (
        [child for child in value if isinstance(child, Mapping | list | tuple)]
        if isinstance(value, list | tuple)
        else []
    )
