"""The tokens by which machines may join: given out by the head, which keeps a hash of each secret only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cluster.api.errors import CapacityError, UnauthenticatedError, UsageError
from cluster.trust.join_string import ID_CHARS, SECRET_CHARS
from cluster.trust.names import BASE32

MAX_TOKENS = 256
MAX_USES = 4096
MIN_TTL_S = 1.0
MAX_TTL_S = 366 * 86400.0
KEPT_S = 86400.0  # for a day, whoever brings an ended token is told that it has ended
CREATE = "on the head, run: cluster token create"


@dataclass(frozen=True, slots=True)
class Token:
    """Times are seconds since 1970."""

    id: str
    secret_hash: str = field(repr=False)  # SHA-256, in hexadecimal digits
    made_s: float
    end_s: float
    uses: int  # how many machines it admits in all
    used_by: tuple[str, ...] = ()  # hashes of their keys, so that one that asks again is not counted again

    @property
    def uses_left(self) -> int:
        return self.uses - len(self.used_by)

    def is_valid(self, now_s: float) -> bool:
        return now_s < self.end_s and self.uses_left > 0


class TokenStore:
    """The tokens of one cluster, without files or clocks."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._tokens = {token.id: token for token in tokens}

    def create(self, ttl_s: float, uses: int, now_s: float) -> tuple[str, str]:
        """The id and the secret of a new token. UsageError, CapacityError."""
        if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
            raise UsageError(f"token: a life of {ttl_s:g} s; give from 1s to {MAX_TTL_S / 86400:.0f}d")
        if not 1 <= uses <= MAX_USES:
            raise UsageError(f"token: {uses} uses; give from 1 to {MAX_USES}")
        self._drop(now_s)
        if sum(token.is_valid(now_s) for token in self._tokens.values()) >= MAX_TOKENS:
            raise CapacityError(f"tokens: there are {MAX_TOKENS}; revoke one: cluster token revoke ID")
        if len(self._tokens) >= MAX_TOKENS:
            self._tokens = {token.id: token for token in self._tokens.values() if token.is_valid(now_s)}
        token_id = _random(ID_CHARS)
        while token_id in self._tokens:
            token_id = _random(ID_CHARS)
        secret = _random(SECRET_CHARS)
        self._tokens[token_id] = Token(token_id, _hash(secret), now_s, now_s + ttl_s, uses)
        return token_id, secret

    def check(self, token_id: str, secret: str, key_hash: str, now_s: float) -> None:
        """UnauthenticatedError unless the holder of that key may join by this token now. Only who knows the secret
        learns what is wrong with the token."""
        token = self._tokens.get(token_id)
        is_known = hmac.compare_digest(_hash(secret), token.secret_hash if token else _hash(""))
        if token is None or not is_known:
            raise UnauthenticatedError(
                f"join string: the cluster has no such token, or it was revoked; paste the whole line, or {CREATE}"
            )
        if now_s >= token.end_s:
            raise UnauthenticatedError(f"join string: token {token_id} has expired; {CREATE}")
        if key_hash not in token.used_by and token.uses_left <= 0:
            raise UnauthenticatedError(
                f"join string: token {token_id} has admitted the {token.uses} machines that it was for; {CREATE}"
            )

    def redeem(self, token_id: str, secret: str, key_hash: str, now_s: float) -> None:
        """Use the token for the holder of that key, once however often it asks. Errors as for `check`."""
        self.check(token_id, secret, key_hash, now_s)
        token = self._tokens[token_id]
        if key_hash not in token.used_by:
            self._tokens[token_id] = replace(token, used_by=(*token.used_by, key_hash))

    def revoke(self, token_id: str) -> None:
        """UsageError if there is none of that id."""
        if self._tokens.pop(token_id, None) is None:
            raise UsageError(f"token: none has the id {token_id[:20]!r}; see: cluster token ls")

    def list(self, now_s: float) -> tuple[Token, ...]:
        """Those that machines can still join by, oldest first."""
        return tuple(token for token in self._tokens.values() if token.is_valid(now_s))

    @property
    def all(self) -> tuple[Token, ...]:
        """To be kept in a file."""
        return tuple(self._tokens.values())

    def _drop(self, now_s: float) -> None:
        self._tokens = {token.id: token for token in self._tokens.values() if now_s < token.end_s + KEPT_S}


def _random(num_chars: int) -> str:
    return "".join(secrets.choice(BASE32) for _ in range(num_chars))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
