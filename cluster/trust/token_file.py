"""The tokens in the head's home: the command line makes them, and the door that admits machines uses them up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.file_lock import file_lock
from cluster.node.private import read_private, write_private
from cluster.trust.tokens import Token, TokenStore

TOKENS = "tokens.json"
FILE_VERSION = 1
_ADVICE = "set XDG_STATE_HOME"


@contextmanager
def open_tokens(home: Path) -> Iterator[TokenStore]:
    """The tokens of the cluster whose head has this home; what changed in the block is written behind it.

    One process at a time is in such a block. ClusterError where the file is damaged, or another user may have had a
    hand in it.
    """
    path = home / TOKENS
    try:
        with file_lock(path):
            store = TokenStore(_read(path))
            before = store.all
            yield store
            if store.all != before:
                text = json.dumps({"version": FILE_VERSION, "tokens": [asdict(token) for token in store.all]}, indent=1)
                write_private(path, text.encode())
    except OSError as error:
        raise disk_error(path, error, _ADVICE) from error


def _read(path: Path) -> list[Token]:
    try:
        raw: Any = json.loads(read_private(path, others_may_look=True))
        if raw["version"] != FILE_VERSION:
            raise ValueError("written by another version")
        return [_token(item) for item in raw["tokens"]]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ClusterError(f"{path}: no tokens ({error}); delete it, and make new ones") from error


def _token(item: Any) -> Token:
    token = Token(**{field.name: item[field.name] for field in fields(Token)} | {"used_by": tuple(item["used_by"])})
    texts, numbers = (token.id, token.secret_hash, *token.used_by), (token.made_s, token.end_s, token.uses)
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(number, int | float) for number in numbers
    ):
        raise ValueError("a field of another kind")
    return token
