"""The settings of the HTTP server: the part of a cluster's settings that `cluster serve` has, too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import UsageError
from cluster.api.hosts import is_loopback

AUTO = "auto"
OFF = "off"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
MAX_KEYS = 1024
MAX_KEY_BYTES = 4096
MAX_KEY_FILE_BYTES = 1 << 20
_DIGEST = "sha256:"


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where the server listens. `port` None: 8000, or the next one that is free."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """Keys of the TOML file are these names, and so are the flags."""

    http: str = AUTO  # HOST:PORT, PORT, auto (127.0.0.1:8000, or the next port that is free), or off
    api_key: tuple[str, ...] = ()  # what clients show, any of them; kept as sha256:DIGEST. () asks for none
    alias: tuple[str, ...] = ()  # names of the model; answers carry the first. (): the file's name
    chat_template: str | None = None  # a file, or the name of a template that ships; None: the model's own
    input_marking: bool = True  # names of control tokens in messages stay text
    cors: tuple[str, ...] = ()  # origins whose pages may ask; * is any
    metrics: bool = True
    metrics_aliases: bool = False  # llama.cpp's names for them, too
    embeddings: bool = False  # of a model that was not made for it
    strict_model: bool = False  # a request for a model of another name is refused
    fetch_pictures: bool = False  # that messages name by URLs of http and https, from public hosts
    always_include_usage: bool = False  # at the end of streams, also where nobody asked
    log_requests: bool = False  # bodies, too: what people write
    page: bool = True
    page_folder: str | None = None  # of another page than ours
    ssl_cert_file: str | None = None
    ssl_key_file: str | None = None

    def check_http(self) -> None:
        """UsageError for settings that do not fit together."""
        address = self.http_address
        if (self.ssl_cert_file is None) != (self.ssl_key_file is None):
            raise UsageError("ssl-cert-file: a certificate and its key go together; give both, or neither")
        if address is not None and not is_loopback(address.host) and not self.api_key:
            raise UsageError(
                f"http: everybody who reaches {address.host} could use it; give --api-key, or listen on {DEFAULT_HOST}"
            )
        wrong = next((key for key in self.api_key if not key.startswith(_DIGEST)), None)
        assert wrong is None, "keys are digests by now"
        for origin in self.cors:
            if origin != "*" and "://" not in origin:
                raise UsageError(f"cors: {origin!a:.80} is no origin; give one such as https://chat.example, or *")

    @property
    def http_address(self) -> HttpAddress | None:
        """Where to listen; None where no server is wanted. UsageError."""
        if self.http == OFF:
            return None
        if self.http == AUTO:
            return HttpAddress(DEFAULT_HOST, None)
        host, colon, port = self.http.rpartition(":")
        if not (port.isascii() and port.isdigit()) or int(port) > 65535 or (colon and not host):
            raise UsageError(f"http: {self.http!a:.80} is no address; give HOST:PORT, PORT, auto or off")
        return HttpAddress(host.removeprefix("[").removesuffix("]") or DEFAULT_HOST, int(port))


def key_digests(given: Iterable[str]) -> tuple[str, ...]:
    """What is kept of API keys: their digests. "@FILE" stands for the keys in a file, one in a line. UsageError.

    Who has a digest cannot find the key, so that the state of a cluster may hold it.
    """
    keys: list[str] = []
    for value in given:
        keys += _keys_in(Path(value[1:])) if value.startswith("@") else [value.strip()]
    if len(keys) > MAX_KEYS:
        raise UsageError(f"api-key: {len(keys)} of them; give at most {MAX_KEYS}")
    for key in keys:
        if not 0 < len(key.encode("utf-8", "surrogateescape")) <= MAX_KEY_BYTES:
            raise UsageError(f"api-key: an empty one, or one of more than {MAX_KEY_BYTES} bytes; give another")
    return tuple(dict.fromkeys(key if key.startswith(_DIGEST) else digest_of(key) for key in keys))


def digest_of(key: str) -> str:
    """How an API key is kept and compared."""
    return _DIGEST + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _keys_in(path: Path) -> list[str]:
    try:
        with path.expanduser().open("rb") as file:
            text = file.read(MAX_KEY_FILE_BYTES).decode("utf-8", "surrogateescape")
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"api-key: {path}: {reason}; give a readable file after the @") from error
    keys = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not keys:
        raise UsageError(f"api-key: {path}: no key in it; write one in a line")
    return keys
