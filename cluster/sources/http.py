"""A file on a web server, read in ranges. What the server says is checked against what it said before."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import NoReturn

import httpx2

from cluster.api.errors import ClusterError, ModelFileError, UsageError
from cluster.sources.name import shown_url
from cluster.sources.retry import DroppedError, Patience, read_on
from cluster.store.fingerprint import Range

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0  # without a single byte
MAX_SIZE_BYTES = 1 << 50
MAX_ETAG_CHARS = 1024
_MAX_CONNECTIONS = 32
_PROBE_PATIENCE = Patience(max_failures=4)
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})

Headers = Callable[[], Mapping[str, str]]


def no_headers() -> Mapping[str, str]:
    return {}


@cache
def session() -> httpx2.Client:
    """One pool of connections for this process; it takes proxies and certificates from the environment."""
    return httpx2.Client(
        follow_redirects=True,
        max_redirects=5,
        timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=None),
        limits=httpx2.Limits(max_connections=_MAX_CONNECTIONS),
    )


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a server says about a file. `etag` is "" where it gives none."""

    size_bytes: int
    etag: str


def probe(url: str, headers: Headers = no_headers) -> RemoteFile:
    """Ask for one byte: the size and the ETag of the file at `url`.

    UsageError where it is not there, not allowed, or not given in ranges; UnreachableError.
    """
    found: list[RemoteFile] = []

    def first_byte(begin: int, end: int) -> Iterator[bytes]:
        with _ranged(url, headers(), begin, end) as response:
            _, _, size_bytes = _content_range(response, begin, end)
            found.append(RemoteFile(size_bytes, _etag(response)))
            yield from _body(response, end - begin)

    for _ in read_on(shown_url(url), first_byte, 0, 1, _PROBE_PATIENCE):
        pass
    return found[-1]


@dataclass(slots=True)
class HttpOrigin:
    """The file at `url`, or a part of a model whose first byte is byte `start` of it.

    `etag` "" takes the one that the first answer names. `headers` are asked for at each request, and go to no
    other host than that of `url`.
    """

    url: str
    size_bytes: int
    etag: str = ""
    start: int = 0
    headers: Headers = no_headers
    patience: Patience = field(default_factory=Patience)
    is_local: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # The other host that `url` leads to: asking that at once saves a round trip, until its signature expires.
    _target: str | None = None

    @property
    def name(self) -> str:
        return shown_url(self.url)

    @property
    def covers(self) -> tuple[Range, ...]:
        return ((self.start, self.start + self.size_bytes),)

    def read(self, begin: int, end: int) -> Iterator[bytes]:
        """ModelFileError if the file is not what it was, UsageError if it is refused, UnreachableError."""
        return read_on(self.name, self._attempt, begin - self.start, end - self.start, self.patience)

    def _attempt(self, begin: int, end: int) -> Iterator[bytes]:
        target = self._target
        try:
            with _ranged(target or self.url, {} if target else self.headers(), begin, end) as response:
                self._check_same(response, begin, end)
                if response.url.origin != httpx2.URL(self.url).origin:
                    self._target = str(response.url)
                yield from _body(response, end - begin)
        except UsageError as error:
            if target is None or isinstance(error, ModelFileError):
                raise
            self._target = None
            raise DroppedError(str(error), 0.0) from error

    def _check_same(self, response: httpx2.Response, begin: int, end: int) -> None:
        _, _, size_bytes = _content_range(response, begin, end)
        etag = _etag(response)
        with self._lock:
            self.etag = self.etag or etag
        if size_bytes != self.size_bytes or etag != self.etag:
            raise ModelFileError(
                f"{self.name}: changed while it was read: {self.size_bytes} bytes, ETag {self.etag!a} before, "
                f"{size_bytes} bytes, ETag {etag!a} now; run this again"
            )


def _body(response: httpx2.Response, length_bytes: int) -> Iterator[bytes]:
    """What the server sends, which must not be more than `length_bytes`."""
    for chunk in response.iter_raw():  # as it comes: in chunks of a given size, what a dropped one had would be lost
        length_bytes -= len(chunk)
        if length_bytes < 0:
            name = shown_url(str(response.url))
            raise ModelFileError(f"{name}: gave more bytes than were asked for; do not trust this server")
        yield chunk


@contextmanager
def _ranged(url: str, headers: Mapping[str, str], begin: int, end: int) -> Iterator[httpx2.Response]:
    """The answer to a request for [begin, end), if it is that. DroppedError where asking again may help."""
    asked = {**headers, "Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
    try:
        with session().stream("GET", url, headers=asked) as response:
            _check_status(url, response, begin, end)
            yield response
    except httpx2.TooManyRedirects as error:
        raise UsageError(f"{shown_url(url)}: redirects without end; give the address it should lead to") from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise UsageError(f"{shown_url(url)}: leads to an address that cannot be asked: {_reason(error)}") from error
    except httpx2.TransportError as error:
        raise DroppedError(_reason(error)) from error


def _check_status(url: str, response: httpx2.Response, begin: int, end: int) -> None:
    if url.startswith("https:") and response.url.scheme != "https":
        raise UsageError(f"{shown_url(url)}: leads from https to http; give an address that stays on https")
    status = response.status_code
    if status == 206:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise UsageError(f"{shown_url(url)}: sends ranges encoded; download the file and give its path")
        return
    if status in _RETRYABLE:
        raise DroppedError(f"HTTP {status}", _retry_after_s(response))
    raise _status_error(shown_url(url), status, begin, end)


def _status_error(name: str, status: int, begin: int, end: int) -> ClusterError:
    match status:
        case 200:
            return UsageError(f"{name}: the server gives no ranges of it; download the file and give its path")
        case 401 | 403:
            return UsageError(
                f"{name}: HTTP {status}: access refused; on the hub, accept the model's terms there and set HF_TOKEN "
                "on every node, elsewhere give an address that needs no login"
            )
        case 404 | 410:
            return UsageError(f"{name}: HTTP {status}: it is not there; check the name")
        case 416:
            return ModelFileError(f"{name}: bytes [{begin}, {end}) are not in it any more: it changed; run this again")
    return UsageError(f"{name}: HTTP {status}: the server does not give it; try it with another program")


def _content_range(response: httpx2.Response, begin: int, end: int) -> tuple[int, int, int]:
    """(begin, end, size of the file) that the server says it sends; it may send less than was asked for."""
    given = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(given.strip())
    if match is None:
        _lie(response, given, begin, end)
    found_begin, found_end, size_bytes = int(match[1]), int(match[2]) + 1, int(match[3])
    if found_begin != begin or not begin < found_end <= min(end, size_bytes) or size_bytes > MAX_SIZE_BYTES:
        _lie(response, given, begin, end)
    return found_begin, found_end, size_bytes


def _lie(response: httpx2.Response, given: str, begin: int, end: int) -> NoReturn:
    name = shown_url(str(response.url))
    raise ModelFileError(
        f"{name}: asked for bytes [{begin}, {end}), it answers Content-Range {given[:80]!a}; do not trust this server"
    )


def _etag(response: httpx2.Response) -> str:
    """What stands for this content: the ETag, else the time of its last change."""
    return str(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")[:MAX_ETAG_CHARS]


def _retry_after_s(response: httpx2.Response) -> float | None:
    given = response.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 6 else None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
