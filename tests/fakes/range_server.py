"""A web server on loopback that gives ranges, counts every byte it sends, and misbehaves where a test says so."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Sent:
    """One answer: bytes [begin, end) asked for, and how many went out."""

    path: str
    begin: int
    end: int
    sent_bytes: int
    authorization: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How to answer one request otherwise than well. `drop_after`: bytes of the body, then the connection ends."""

    status: int = 206
    headers: tuple[tuple[str, str], ...] = ()
    content_range: str | None = None
    etag: str | None = None
    drop_after: int | None = None
    body: bytes | None = None
    endless: bool = False


Script = Callable[[str, int, int], Answer | None]


@dataclass
class RangeServer:
    """`files` by path. `script(path, begin, end)` may change an answer; None answers well."""

    files: dict[str, bytes]
    etag: str | None = '"v1"'
    script: Script = lambda path, begin, end: None
    sent: list[Sent] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sent_bytes(self, since: int = 0) -> int:
        return sum(item.sent_bytes for item in self.sent[since:])

    @contextmanager
    def running(self) -> Iterator[RangeServer]:
        server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"owner": self}))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away: that is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    owner: RangeServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        begin, end = (int(match[1]), int(match[2]) + 1) if match else (0, 1 << 62)
        with self.owner.lock:
            answer = self.owner.script(self.path, begin, end) or Answer()
        data = self.owner.files.get(path)
        if data is None and answer == Answer():
            answer = Answer(status=404)
        self._answer(answer, data or b"", begin, end)

    def _answer(self, answer: Answer, data: bytes, begin: int, end: int) -> None:
        asked_end, end = end, min(end, len(data))
        body = data[begin:end] if answer.status == 206 else b"no"
        if answer.status == 200:
            body = data
        body = body if answer.body is None else answer.body
        self.send_response(answer.status)
        if answer.status == 206:
            self.send_header("Content-Range", answer.content_range or f"bytes {begin}-{end - 1}/{len(data)}")
        etag = self.owner.etag if answer.etag is None else answer.etag
        if etag:
            self.send_header("ETag", etag)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.endless:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(body)))
        if answer.drop_after is not None:
            body = body[: answer.drop_after]
            self.close_connection = True
        authorization = self.headers.get("Authorization", "")
        with self.owner.lock:  # before anything goes out: the client may look as soon as it has the headers
            num_bytes = 0 if self.command == "HEAD" else len(body)
            self.owner.sent.append(Sent(self.path, begin, asked_end, num_bytes, authorization))
        self.end_headers()
        if self.command == "HEAD":
            return
        while answer.endless:
            self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        self.wfile.write(body)
