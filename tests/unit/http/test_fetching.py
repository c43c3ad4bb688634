"""Pictures that are elsewhere: fetched from public hosts only, within limits of time and size."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from cluster.api.errors import UsageError
from cluster.api.pictures import MAX_PICTURE_BYTES
from cluster.chat.messages import PICTURE, ChatRequest, Message, PictureUrl, Role
from cluster.http.fetching import MAX_REDIRECTIONS, PictureFetcher, is_public

BODY = b"\x89PNG and what follows"


def asked(*urls: str) -> ChatRequest:
    pictures = tuple(PictureUrl(url, f"messages[0].{place}") for place, url in enumerate(urls))
    return ChatRequest((Message(Role.USER, PICTURE * len(urls), pictures=(*pictures, b"own")),))


class Web:
    """A server that answers each path with what was set for it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {"/a": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY}
        self.heads: list[str] = []
        self.port = 0
        self.tasks: list[asyncio.Task[None] | None] = []

    def redirects(self, path: str, target: str) -> None:
        self.answers[path] = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            answer = self.answers[head.split()[1]]
            for part in (answer,) if answer != b"ENDLESS" else (b"HTTP/1.1 200 OK\r\n\r\n", *[bytes(1 << 20)] * 64):
                writer.write(part)
                await writer.drain()
            if answer.endswith(b"SLOW"):
                await asyncio.sleep(5)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def web() -> AsyncIterator[Web]:
    site = Web()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        tasks = [task for task in site.tasks if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return str(address) == "127.0.0.1"


def fetcher(time_limit_s: float = 5.0) -> PictureFetcher:
    """One that takes this address for a public one, and no other."""
    return PictureFetcher(ports=None, may_ask=is_local, time_limit_s=time_limit_s)


def test_a_picture_is_in_the_place_of_its_url() -> None:
    async def main() -> None:
        async with web() as site:
            site.redirects("/b", "/a")
            host = f"localhost:{site.port}"
            found = await fetcher().fetched(asked(f"http://{host}/a", f"http://{host}/b"))
            assert found.messages[0].pictures == (BODY, BODY, b"own")
            assert all(f"host: {host}" in head.lower() for head in site.heads), "the name, not the address"
            assert not any("cookie" in head.lower() or "authorization" in head.lower() for head in site.heads)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/a", "its host is not public"),
        ("http://localhost/a", "its host is not public"),
        ("http://2130706433/a", "its host is not public"),
        ("http://0x7f.1/a", "its host is not public"),
        ("http://0.0.0.0/a", "its host is not public"),
        ("http://[::1]/a", "its host is not public"),
        ("http://[::ffff:127.0.0.1]/a", "its host is not public"),
        ("http://169.254.169.254/latest/meta-data", "its host is not public"),
        ("https://10.1.2.3/a", "its host is not public"),
        ("https://[fe80::1]/a", "its host is not public"),
        ("http://192.0.2.1:22/a", "port 22; pictures are fetched from ports 80 and 443"),
        ("http://me:secret@192.0.2.1/a", "without a name or password"),
        ("http:///a", "no URL of a public host"),
        ("http://a b/", "cannot be fetched"),
    ],
)
def test_only_public_hosts_are_asked(url: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^messages\[0\]\.0: .*{why}"):
        asyncio.run(PictureFetcher().fetched(asked(url)))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("fd00::1", False),
        ("::", False),
    ],
)
def test_what_is_public(address: str, expected: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is expected


def refused(set_up: Callable[[Web], None], why: str, path: str = "/b", time_limit_s: float = 5.0) -> None:
    async def main() -> None:
        async with web() as site:
            set_up(site)
            with pytest.raises(UsageError, match=rf"^messages\[0\]\.0: {why}"):
                await fetcher(time_limit_s).fetched(asked(f"http://127.0.0.1:{site.port}{path}"))

    asyncio.run(main())


def test_redirections_are_looked_at_like_the_first_url() -> None:
    refused(lambda site: site.redirects("/b", f"http://127.0.0.2:{site.port}/a"), "its host is not public")
    refused(lambda site: site.redirects("/b", "file:///etc/passwd"), "no URL of a public host")
    refused(lambda site: site.redirects("/b", "/b"), f"more than {MAX_REDIRECTIONS} redirections")


def test_limits_of_size_and_time() -> None:
    refused(lambda site: site.answers.update({"/b": b"ENDLESS"}), f"a picture of more than {MAX_PICTURE_BYTES} bytes")
    refused(lambda site: site.answers.update({"/b": b"HTTP/1.1 SLOW"}), "it was not there within 0.3 s", "/b", 0.3)
    refused(lambda site: site.answers.update({"/b": b"HTTP/1.1 404 No\r\n\r\n"}), "its server answers 404")
    refused(lambda site: site.answers.update({"/b": b"nothing that is HTTP\r\n\r\n"}), "it cannot be fetched")


def test_there_is_a_limit_to_their_number() -> None:
    with pytest.raises(UsageError, match="33 pictures to be fetched; give at most 32"):
        asyncio.run(PictureFetcher().fetched(asked(*["http://192.0.2.1/a"] * 33)))
