"""A JSON schema as a grammar takes it: within bounds, and with our own options instead of the caller's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.schema_depth import check_depth

# llguidance's options, which it reads from this key of a schema.
_OPTIONS = "x-guidance"
_ENFORCED = {
    # Without a bound, a model that likes line breaks goes on with them for ever.
    "whitespace_pattern": "[ \\n]{0,2}",
    "json_allow_general_unicode_escapes": True,
}


def schema_text(schema: Mapping[str, Any] | bool, *, lenient: bool = False) -> str:
    """The schema as JSON: for a grammar of its own, or behind `%json` in a Lark grammar.

    `lenient`: keywords that cannot be enforced are passed over. UsageError if it is no schema, or too deep.
    """
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    if not isinstance(schema, Mapping):
        raise UsageError(f"schema: a {type(schema).__name__}; give an object")
    check_depth(schema)
    try:
        return json.dumps({**schema, _OPTIONS: {**_ENFORCED, "lenient": lenient}}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"schema: it is no JSON ({error}); give an object of JSON") from error
