"""Who may ask: keys, in any of three headers."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from cluster.http.errors import RefusedError, refused
from cluster.http_config import digest_of

# A load balancer has no key, and a browser none before its person has typed it. The page is public, too.
ALWAYS_PUBLIC = frozenset({"/health", "/v1/health", "/livez", "/readyz"})


class ApiKeys:
    """The keys of which any one is asked for; none of them, and nobody is asked."""

    def __init__(self, digests: Sequence[str]) -> None:
        """As `digest_of` makes them."""
        self._digests = tuple(digests)

    @property
    def are_asked_for(self) -> bool:
        return bool(self._digests)

    def check(self, headers: Mapping[str, str]) -> None:
        """RefusedError unless one of the headers has a key. What is compared has one length, and takes one time."""
        if not self._digests:
            return
        given = [digest_of(key) for key in _given(headers)]
        if not given:
            raise _unauthorised("no API key: send Authorization: Bearer KEY, or x-api-key")
        matches = [hmac.compare_digest(one, own) for one in given for own in self._digests]
        if not any(matches):
            raise _unauthorised("Invalid API Key: it is none of this server's; see cluster up --api-key")


def _given(headers: Mapping[str, str]) -> list[str]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else []
    return [key for key in (*found, headers.get("x-api-key", ""), headers.get("api-key", "")) if key]


def _unauthorised(message: str) -> RefusedError:
    return refused(401, "authentication_error", message, "invalid_api_key")
