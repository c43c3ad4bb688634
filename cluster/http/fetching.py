"""Pictures that messages name by URLs: fetched from public hosts only, and only where the server was told so.

Whoever may ask could otherwise have the server ask others within its own network: a name is resolved here, all that it
resolves to has to be public, and the connection goes to that very address. Each redirection is looked at, too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import replace

import httpx2

from cluster.api.errors import UsageError
from cluster.api.pictures import MAX_PICTURE_BYTES, MAX_PICTURES, MAX_PICTURES_BYTES
from cluster.chat.messages import ChatRequest, Message, PictureUrl

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TIME_LIMIT_S = 10.0  # of one picture, with all redirections
MAX_REDIRECTIONS = 3
MAX_AT_ONCE = 8
PORTS = frozenset({80, 443})
_REDIRECTIONS = frozenset({301, 302, 303, 307, 308})
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4 within IPv6 (RFC 6052)


class PictureFetcher:
    """For one event loop."""

    def __init__(
        self,
        ports: frozenset[int] | None = PORTS,
        may_ask: Callable[[Address], bool] | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> None:
        """`ports` None: any. `may_ask` an address: by default those that are public."""
        self._ports = ports
        self._may_ask = may_ask or is_public
        self._time_limit_s = time_limit_s
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def fetched(self, request: ChatRequest) -> ChatRequest:
        """The same with the pictures themselves. UsageError for one that cannot be had."""
        num_urls = sum(isinstance(one, PictureUrl) for message in request.messages for one in message.pictures)
        if not num_urls:
            return request
        if num_urls > MAX_PICTURES:
            raise UsageError(f"messages: {num_urls} pictures to be fetched; give at most {MAX_PICTURES}")
        left = MAX_PICTURES_BYTES
        messages: list[Message] = []
        for message in request.messages:
            pictures: list[bytes | PictureUrl] = []
            for one in message.pictures:
                most = min(left, MAX_PICTURE_BYTES)
                found = await self._bytes_of(one, most) if isinstance(one, PictureUrl) else one
                left -= len(found)
                pictures.append(found)
            messages.append(replace(message, pictures=tuple(pictures)))
        return replace(request, messages=tuple(messages))

    async def _bytes_of(self, picture: PictureUrl, most: int) -> bytes:
        # Proxies of the environment would resolve names again.
        client = httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=self._time_limit_s)
        try:
            async with asyncio.timeout(self._time_limit_s), self._at_once, client:
                return await self._get(client, picture, most)
        except TimeoutError as error:
            why = f"it was not there within {self._time_limit_s:g} s"
            raise UsageError(f"{picture.field}: {why}; give the picture itself") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            why = f"it cannot be fetched ({type(error).__name__})"
            raise UsageError(f"{picture.field}: {why}; give the picture itself") from error

    async def _get(self, client: httpx2.AsyncClient, picture: PictureUrl, most: int) -> bytes:
        url = httpx2.URL(picture.url)
        for _ in range(1 + MAX_REDIRECTIONS):
            address = await self._address_of(url, picture.field)
            request = client.build_request(
                "GET",
                url.copy_with(host=str(address)),
                headers={"Host": url.netloc.decode("ascii"), "Accept": "image/*", "Accept-Encoding": "identity"},
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            )
            response = await client.send(request, stream=True)
            try:
                if response.status_code in _REDIRECTIONS and "location" in response.headers:
                    url = url.join(response.headers["location"])
                    continue
                if response.status_code != 200:
                    raise UsageError(f"{picture.field}: its server answers {response.status_code}; give another URL")
                return await _body(response, most, picture.field)
            finally:
                await response.aclose()
        raise UsageError(f"{picture.field}: more than {MAX_REDIRECTIONS} redirections; give the URL behind them")

    async def _address_of(self, url: httpx2.URL, field: str) -> Address:
        """The one to ask. UsageError for what is no public host."""
        if url.scheme not in ("http", "https") or not url.host or url.userinfo:
            raise UsageError(f"{field}: no URL of a public host; give one of http or https, without a name or password")
        port = url.port or (443 if url.scheme == "https" else 80)
        if self._ports is not None and port not in self._ports:
            raise UsageError(f"{field}: port {port}; pictures are fetched from ports 80 and 443 only")
        host = url.raw_host.decode("ascii")
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
        if not addresses or not all(map(self._may_ask, addresses)):
            raise UsageError(f"{field}: its host is not public; give the picture itself, as data:image/png;base64,...")
        return addresses[0]


def is_public(address: Address) -> bool:
    """Whether anybody may be asked there: no loopback, private or link-local address, in whatever spelling."""
    if isinstance(address, ipaddress.IPv6Address):
        within = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _TRANSLATED:
            within.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if not all(is_public(one) for one in within if one is not None):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast and not address.is_reserved


async def _body(response: httpx2.Response, most: int, field: str) -> bytes:
    """As it comes: nothing is unpacked."""
    found = bytearray()
    async for part in response.aiter_raw():
        found += part
        if len(found) > most:
            raise UsageError(f"{field}: a picture of more than {most} bytes; give a smaller one")
    return bytes(found)
