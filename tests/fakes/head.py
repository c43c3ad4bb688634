"""A head with real files, servers and certificates, on an address of loopback of its own: Ray alone is missing."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cluster.api.errors import CapacityError, UnreachableError
from cluster.membership.serving import Doors
from cluster.membership.versions import this_version
from cluster.messages.membership import Grant
from cluster.node.home import Home, NodeRecord, write_home
from cluster.node.port_plan import PortPlan
from cluster.node.secret import Secret
from cluster.trust.authority import Authority
from cluster.trust.identity import write_identity
from cluster.trust.join_string import JoinString
from cluster.trust.kept_authority import open_authority
from cluster.trust.token_file import open_tokens

SECRET = Secret.new()


@dataclass
class FakeCluster:
    """A Cluster whose nodes live by being said to."""

    living: set[str] = field(default_factory=lambda: {"node-1"})
    useless: set[str] = field(default_factory=set)  # they never prove to be of use
    needed: set[str] = field(default_factory=set)  # the others cannot do without them
    instance: str = "instance"

    def living_nodes(self) -> set[str]:
        return set(self.living)

    def grant(self, name: str) -> Grant:
        return Grant(
            gcs_address="10.0.0.1:8471",
            ray_token="token",
            secret=SECRET.text,
            client_secret=SECRET.for_clients.text,
            instance=self.instance,
            namespace="namespace",
            first_port=8469,
            is_secure=True,
            versions=this_version(),
        )

    def release(self, name: str) -> None:
        if name in self.needed:
            raise CapacityError(f"memory: the model does not fit without {name}; add devices")
        self.living.discard(name)

    def confirm(self, name: str, deadline_s: float) -> str:
        if name in self.useless:
            time.sleep(max(0.0, deadline_s - time.monotonic()))
            raise UnreachableError(f"{name}: its agent did not answer; see its log")
        self.living.add(name)
        return f"{name}: 4 cores"


@dataclass
class FakeHead:
    """What tests ask of a head."""

    home: Home
    authority: Authority
    cluster: FakeCluster
    address: str

    @property
    def ports(self) -> PortPlan:
        assert self.home.record is not None
        return self.home.record.ports

    def token(self, ttl_s: float = 600, uses: int = 1) -> JoinString:
        with open_tokens(self.home.folder) as tokens:
            return JoinString(*tokens.create(ttl_s, uses, time.time()), self.authority.hash)

    def beside(self, last: int) -> str:
        """Another address of the head's net: of another machine, as it were."""
        return f"{self.home.host.rpartition('.')[0]}.{last}"


def head_home(folder: Path, host: str, first_port: int, name: str = "node-1") -> tuple[Home, Authority]:
    """The files of a head."""
    folder.mkdir(mode=0o700, exist_ok=True)
    authority = open_authority(folder, time.time())
    write_identity(folder / "identity", authority.head_identity(name, [host], time.time()))
    return write_home(folder, NodeRecord(name, authority.cluster_id, host, first_port, True, host)), authority


@contextmanager
def running_head(folder: Path, host: str | None = None, first_port: int | None = None) -> Iterator[FakeHead]:
    """A head whose doors are open in the block; by default at an address and ports that nobody else has."""
    host = host or f"127.{random.randrange(1, 250)}.{random.randrange(256)}.1"
    home, authority = head_home(folder, host, first_port or random.randrange(20000, 30000))
    cluster = FakeCluster()
    doors = Doors(home, cluster)
    address = doors.start()
    try:
        yield FakeHead(home, authority, cluster, address)
    finally:
        doors.stop()
