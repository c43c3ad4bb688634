"""The home of a node: the folder where its processes find who they are and what they share with the others.

On a machine alone there is no record in it: everything stays on loopback.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cluster.api.errors import ClusterError
from cluster.node.port_plan import NUM_PORTS, PortPlan
from cluster.node.private import read_private, write_private

RECORD = "node.json"
SECRET = "secret"
CLIENT_SECRET = "client-secret"
JOURNAL = "requests.journal"
IDENTITY = "identity"
LOOPBACK = "127.0.0.1"
RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """Who this node is to the others. Set when it starts a cluster of several machines, or joins one."""

    name: str
    cluster_id: str
    host: str  # the one address of this node that all others use
    first_port: int
    is_secure: bool  # False: the cluster was started with --insecure
    head_host: str  # where the head answers members
    version: int = RECORD_VERSION

    def __post_init__(self) -> None:
        for name in ("name", "cluster_id", "host", "head_host"):
            value = getattr(self, name)
            if not isinstance(value, str) or not 0 < len(value) < 256 or not value.isprintable():
                raise ValueError(f"{name}: {value!a:.60}")
        if not isinstance(self.first_port, int) or not 0 < self.first_port <= 65536 - NUM_PORTS:
            raise ValueError(f"first_port: {self.first_port!a:.60}")
        if not isinstance(self.is_secure, bool):
            raise ValueError(f"is_secure: {self.is_secure!a:.60}")

    @property
    def is_head(self) -> bool:
        """Whether the cluster was started here."""
        return self.host == self.head_host

    @property
    def ports(self) -> PortPlan:
        return PortPlan(self.first_port)


@dataclass(frozen=True, slots=True)
class Home:
    """`record` is None on a machine alone."""

    folder: Path
    record: NodeRecord | None = None

    @property
    def node(self) -> str:
        """The name of this node, as `status` shows it."""
        return self.record.name if self.record else platform.node()

    @property
    def host(self) -> str:
        """The address that servers of this node are reached at."""
        return self.record.host if self.record else LOOPBACK

    @property
    def secret_file(self) -> Path:
        """The cluster's own secret."""
        return self.folder / SECRET

    @property
    def client_secret_file(self) -> Path:
        """What clients are asked for."""
        return self.folder / CLIENT_SECRET

    @property
    def journal_file(self) -> Path:
        """The open requests of the coordinator here, for one that takes its place."""
        return self.folder / JOURNAL

    @property
    def identity_folder(self) -> Path:
        """This node's certificate and key, and the certificate of the cluster's authority."""
        return self.folder / IDENTITY


def read_home(folder: Path) -> Home:
    """The home at `folder`. ClusterError where its record is damaged, or another user may have written it."""
    path = folder / RECORD
    try:
        raw: Any = json.loads(read_private(path, others_may_look=True))
        if not isinstance(raw, dict) or raw.get("version") != RECORD_VERSION:
            raise ValueError("written by another version")
        return Home(folder, NodeRecord(**{name: raw[name] for name in _FIELDS}))
    except FileNotFoundError:
        return Home(folder)
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror or error}; make it readable") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ClusterError(f"{path}: no record of a node ({error}); delete it, and join again") from error


def write_home(folder: Path, record: NodeRecord) -> Home:
    """Replace the record at `folder`. ClusterError; OSError as writing raises it."""
    write_private(folder / RECORD, json.dumps(asdict(record), indent=1).encode())
    return Home(folder, record)


def forget_home(folder: Path) -> None:
    """The node is alone again; its identity stays."""
    (folder / RECORD).unlink(missing_ok=True)


_FIELDS = tuple(field.name for field in fields(NodeRecord))
