"""The page: files, read once, each at its name."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from cluster.api.errors import UsageError
from cluster.http.routes.route import At, Handler, get
from cluster.http.settings import HttpSettings

OWN = Path(__file__).parent.parent / "page"
INDEX = "index.html"
MAX_FILES = 4000  # of a page of the operator's
MAX_BYTES = 256 << 20
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".html": "text/html"}
_TYPES |= {".svg": "image/svg+xml", ".json": "application/json", ".webmanifest": "application/manifest+json"}
_ALWAYS = {
    "cache-control": "no-cache",  # asked for again each time, and answered with 304
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
# No other host is asked for anything, no text becomes a program, and no page of elsewhere frames this one.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_OWN_PAGE = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file, as it is sent."""

    name: str  # relative, with /
    content: bytes
    packed: bytes  # the same, through gzip
    tag: str  # an entity tag
    media_type: str


def page_files(settings: HttpSettings) -> tuple[PageFile, ...]:
    """All files of the page that is served; () where there is none. UsageError for a folder without one."""
    if not settings.page:
        return ()
    folder = Path(settings.page_folder) if settings.page_folder else OWN
    try:
        return tuple(_read(folder))
    except OSError as error:
        raise UsageError(f"page: {folder}: {error.strerror}; give a folder with an {INDEX}") from error


def public_paths(files: tuple[PageFile, ...]) -> frozenset[str]:
    """The page needs no key: it is where one is typed."""
    return frozenset(f"/{file.name}" for file in files) | ({"/"} if files else frozenset())


def page_routes(settings: HttpSettings, files: tuple[PageFile, ...]) -> Iterator[At]:
    headers = _ALWAYS if settings.page_folder else {**_ALWAYS, **_OWN_PAGE}
    for file in files:
        yield get(f"/{file.name}", _sending(file, headers))
        if file.name == INDEX:
            yield get("/", _root(_sending(file, headers)))


def _read(folder: Path) -> Iterator[PageFile]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    names = [path.relative_to(folder).as_posix() for path in paths]
    if INDEX not in names:
        raise UsageError(f"page: {folder}: there is no {INDEX}; give the folder of a page that is built")
    if len(paths) > MAX_FILES or sum(path.stat().st_size for path in paths) > MAX_BYTES:
        raise UsageError(f"page: {folder}: more than {MAX_FILES} files, or {MAX_BYTES >> 20} MiB; give a smaller one")
    for name, path in zip(names, paths, strict=True):
        if "{" in name:  # to the router, a pattern
            continue
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        yield PageFile(name, content, gzip.compress(content, mtime=0), tag, media_type)


def _sending(file: PageFile, headers: dict[str, str]) -> Handler:
    named = {**headers, "etag": file.tag, "vary": "accept, accept-encoding"}
    charset = "; charset=utf-8" if file.media_type.startswith("text/") else ""

    async def send(request: Request) -> Response:
        if file.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=named)
        is_packed = "gzip" in request.headers.get("accept-encoding", "") and len(file.packed) < len(file.content)
        packing = {"content-encoding": "gzip"} if is_packed else {}
        body = file.packed if is_packed else file.content
        return Response(body, headers={**named, **packing, "content-type": file.media_type + charset})

    return send


def _root(page: Handler) -> Handler:
    """Who asks for a page gets it. Ollama's clients ask here, too: whether Ollama is running."""

    async def root(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return await page(request)
        return Response("Ollama is running", media_type="text/plain", headers={"vary": "accept"})

    return root
