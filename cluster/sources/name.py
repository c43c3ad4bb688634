"""What a user may type for MODEL: a path, hf:org/repo:Q4_K_M, or an http(s) URL; and for an adapter. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from cluster.api.errors import UsageError
from cluster.api.lists import LARGEST_SCALE

HUB_PREFIX = "hf:"
MAX_NAME_CHARS = 4096
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_HUB_NAME = re.compile(rf"({_WORD}/{_WORD})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{{0,255}}))?(?::(.{{1,1024}}))?")


@dataclass(frozen=True, slots=True)
class HubName:
    """A model on the hub. `choice` is a quantisation or a file name; None lets the repository decide."""

    repo: str
    revision: str | None
    choice: str | None


def is_remote_name(name: str) -> bool:
    """Whether it names something that is not a path."""
    return name.startswith((HUB_PREFIX, "http://", "https://"))


def parse_hub_name(name: str) -> HubName:
    """hf:org/repo[@revision][:quantisation or file.gguf]; UsageError for anything else."""
    match = _HUB_NAME.fullmatch(name.removeprefix(HUB_PREFIX))
    if match is None or ".." in name or "--" in match[1]:
        raise UsageError(f"model: {name!a} is no name on the hub; give hf:org/repo:Q4_K_M")
    return HubName(match[1], match[2], match[3])


def check_url(url: str) -> str:
    """The URL, if it is one that can be asked for; UsageError."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or len(url) > MAX_NAME_CHARS or not url.isprintable() or " " in url:
        raise UsageError(f"model: {shown_url(url)!a} is no URL; give http(s)://host/path/model.gguf")
    return url


def shown_url(url: str) -> str:
    """The URL without what may be a secret in it: user, password, query."""
    plain = url.partition("#")[0].partition("?")[0]
    scheme, separator, rest = plain.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"[:200]


def parse_adapter(text: str) -> tuple[str, float]:
    """The path and the scale, 1 where none stands behind a colon. UsageError for a scale that is not finite."""
    path, _, after = text.rpartition(":")
    try:
        scale = float(after) if path else 1.0
    except ValueError:
        path, scale = "", 1.0  # a colon of the file's name
    if not abs(scale) <= LARGEST_SCALE:  # so is NaN
        raise UsageError(
            f"lora: {text}: a scale of {scale} is not possible; give one of at most {LARGEST_SCALE:g}, such as FILE:0.5"
        )
    return path or text, scale
