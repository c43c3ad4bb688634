"""The tokens in the head's home: the command line makes them, and the door that admits machines uses them up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from cluster.node.record_file import RecordFile
from cluster.trust.tokens import Token, TokenStore

TOKENS = "tokens.json"


@contextmanager
def open_tokens(home: Path) -> Iterator[TokenStore]:
    """The tokens of the cluster whose head has this home; what changed in the block is written behind it.

    One process at a time is in such a block. ClusterError where the file is damaged, or another user may have had a
    hand in it.
    """
    file = RecordFile(home / TOKENS, "tokens", _token, "tokens", "delete it, and make new ones")
    with file.locked():
        store = TokenStore(file.read())
        before = store.all
        yield store
        if store.all != before:
            file.write(store.all)


def _token(item: Any) -> Token:
    token = Token(**{field.name: item[field.name] for field in fields(Token)} | {"used_by": tuple(item["used_by"])})
    texts, numbers = (token.id, token.secret_hash, *token.used_by), (token.made_s, token.end_s, token.uses)
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(number, int | float) for number in numbers
    ):
        raise ValueError("a field of another kind")
    return token
