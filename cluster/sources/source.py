"""What every node is told about a model's whereabouts. Plain data; the only secrets in it are those of peers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from cluster.api.model import AdapterInfo
from cluster.node.secret import Secret
from cluster.sources.name import shown_url
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.access.keys import Keys


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that is on one node at least."""

    path: str  # absolute
    size_bytes: int
    mtime_ns: int

    @property
    def version(self) -> str:
        return f"{self.size_bytes}@{self.mtime_ns}"


@dataclass(frozen=True, slots=True)
class UrlPart:
    """A file that a web server gives in ranges. `etag` is "" where it names none."""

    url: str
    size_bytes: int
    etag: str

    @property
    def version(self) -> str:
        return f"{self.size_bytes}@{self.etag}"


@dataclass(frozen=True, slots=True)
class HubPart:
    """A file of a commit of a hub repository: its content never changes. `digest`: SHA-256, or git's for small ones.

    Each node asks its own endpoint with its own token, and looks into its own hub cache first.
    """

    repo: str
    commit: str
    file_name: str
    size_bytes: int
    digest: str

    @property
    def version(self) -> str:
        return f"{self.size_bytes}@{self.digest}"


Part = FilePart | UrlPart | HubPart


@dataclass(frozen=True, slots=True)
class AdapterSource:
    """What a stage is told of an adapter that was found fit for the model."""

    path: str  # where the cluster was started; on other nodes it may be nothing, or another file
    size_bytes: int
    mtime_ns: int
    scale: float  # of what it adds, unless a request has another
    hash: str  # as a model's: what other nodes know it by

    @property
    def info(self) -> AdapterInfo:
        """What clients are told of it."""
        return AdapterInfo(os.path.basename(self.path), self.scale)


@dataclass(frozen=True, slots=True)
class Peer:
    """A node that lends weights and adapters. Other nodes are told all of it: nothing here is for one of them only."""

    address: str  # host:port
    secret: Secret  # made for this lending
    node: str = ""  # the name of the node; "" where there is one machine only

    def endpoint(self, keys: Keys | None) -> Endpoint:
        """How the process whose keys these are calls it; None is for plaintext."""
        if keys is None:
            return Endpoint(self.address, self.secret)
        return keys.asking(self.secret).endpoint(self.address, self.node)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model in one part or more, all of one kind, in order. `peers` serve its weights."""

    name: str  # as the user gave it; absolute where it is a path
    parts: tuple[Part, ...]
    peers: tuple[Peer, ...] = ()

    @property
    def version(self) -> str:
        """Changes whenever the source does."""
        return ",".join(part.version for part in self.parts)

    @property
    def is_versioned(self) -> bool:
        """Whether `version` changes with the content; a server without ETags tells the size only."""
        return all(part.etag for part in self.parts if isinstance(part, UrlPart))

    @property
    def shown_name(self) -> str:
        """The name without what may be a secret in it, for messages and lists."""
        return shown_url(self.name) if isinstance(self.parts[0], UrlPart) else self.name

    @property
    def display_name(self) -> str:
        """The file name, for people."""
        part = self.parts[0]
        match part:
            case FilePart():
                return os.path.basename(part.path)
            case UrlPart():
                return unquote(os.path.basename(urlsplit(part.url).path)) or "model"
            case HubPart():
                return os.path.basename(part.file_name)
