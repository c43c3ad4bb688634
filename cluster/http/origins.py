"""Which web pages may ask: a browser lets any page send requests to this machine, and says whose page it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cluster.api.hosts import is_loopback
from cluster.http.errors import refused

_MAX_AGE_S = 600


class Origins:
    """Our own page may ask, and pages of the origins given; "*" is any."""

    def __init__(self, origins: Sequence[str], host: str) -> None:
        """`host`: where the server listens."""
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)
        self._is_any = "*" in self._origins
        self._is_loopback = _names_loopback(host)

    def check(self, headers: Mapping[str, str], *, are_keys_asked_for: bool) -> None:
        """RefusedError for a page of elsewhere. Where keys are asked for, a page without one gets nothing anyway."""
        if are_keys_asked_for or self._is_any:
            return
        host = headers.get("host", "")
        if self._is_loopback and host and not _names_loopback(urlsplit(f"//{host}").hostname or ""):
            # A name of the web that was made to lead here; to the browser, its page is of the same origin.
            raise refused(403, "permission_error", f"host: {host[:100]!r} is not this machine; ask 127.0.0.1")
        origin = headers.get("origin")
        if origin is not None and not self._is_allowed(origin, host):
            message = f"origin: {origin[:100]!r} is another page's; start with --cors {origin[:100]} to allow it"
            raise refused(403, "permission_error", message, "origin_not_allowed")

    def answer(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What lets the page read the answer."""
        origin = headers.get("origin")
        if origin is None or not self._is_named(origin):
            return {}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": "x-request-id, request-id, retry-after, retry-after-ms",
            "vary": "origin",
        }

    def preflight(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What a browser is told that asks before it sends."""
        origin = headers.get("origin")
        if origin is None or not self._is_named(origin):
            return {"allow": "GET, HEAD, POST, DELETE"}
        return {
            "access-control-allow-methods": "GET, HEAD, POST, DELETE",
            "access-control-allow-headers": headers.get("access-control-request-headers", "*")[:1000],
            "access-control-max-age": str(_MAX_AGE_S),
        }

    def _is_allowed(self, origin: str, host: str) -> bool:
        return self._is_named(origin) or (host != "" and urlsplit(origin).netloc.lower() == host.lower())

    def _is_named(self, origin: str) -> bool:
        return self._is_any or origin.lower() in self._origins


def _names_loopback(host: str) -> bool:
    """Whether a browser that is led to `host` is led to its own machine: it never asks for names below localhost."""
    name = host.strip("[]").lower()
    return is_loopback(name) or name.endswith(".localhost")
