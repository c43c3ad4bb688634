"""Passes: what the ranks of one attempt know each other by, on one machine and on several."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from cluster.node.home import LOOPBACK
from cluster.node.secret import Secret, read_secret
from cluster.trust.authority import Authority
from cluster.trust.identity import Identity, server_name
from cluster.trust.names import new_cluster_id
from cluster.wire.access.endpoint import Endpoint, Listener
from cluster.wire.transport.tls import CallerTls


@dataclass(frozen=True, slots=True)
class Pass:
    """What one rank is told before it listens. Over several machines it goes through Ray, encrypted."""

    host: str = LOOPBACK
    secret_file: str = ""  # on one machine: where the secret lies, so that Ray does not carry it
    secret_text: str = field(default="", repr=False)
    cluster_id: str = ""  # of the attempt; empty where nothing is encrypted
    ca_pem: bytes = b""
    cert_pem: bytes = b""


class Passes:
    """Of one attempt: a new secret, and over machines a new authority, whose key stays in this process."""

    def __init__(self, secret_file: Path | None, *, is_secure: bool = False) -> None:
        """`secret_file`: None where the ranks are on several machines; `is_secure`: they speak mutual TLS then."""
        self._secret_file = secret_file
        self._secret = None if secret_file is not None else Secret.new()
        self.authority = Authority.new(new_cluster_id(), time.time()) if is_secure else None

    def of(self, rank: int, host: str, request: bytes) -> Pass:
        """That of a rank, which is reached at `host`. UsageError for a request that is none."""
        if self._secret_file is not None:
            return Pass(secret_file=str(self._secret_file))
        assert self._secret is not None
        if self.authority is None:
            return Pass(host, secret_text=self._secret.text)
        cert_pem = self.authority.sign(request, name_of(rank), [host], time.time())
        cluster_id, ca_pem = self.authority.cluster_id, self.authority.certificate_pem
        return Pass(host, "", self._secret.text, cluster_id, ca_pem, cert_pem)


class HeldPass:
    """A pass with the rank's own key: how it listens, and how it calls others."""

    def __init__(self, told: Pass, rank: int, key_pem: bytes) -> None:
        """ClusterError for a secret that is not there or not safe."""
        self._secret = read_secret(Path(told.secret_file)) if told.secret_file else Secret.of_text(told.secret_text)
        self._identity: Identity | None = None
        if told.cluster_id:
            self._identity = Identity(name_of(rank), told.cluster_id, told.ca_pem, told.cert_pem, key_pem)
        self._host = told.host

    @property
    def listener(self) -> Listener:
        identity = self._identity
        return Listener(self._secret, self._host, identity=None if identity is None else lambda: identity)

    def endpoint(self, rank: int, address: str) -> Endpoint:
        """Of another rank, which must show the certificate that is made out to it."""
        if self._identity is None:
            return Endpoint(address, self._secret)
        tls = CallerTls.of(self._identity, server_name(name_of(rank), self._identity.cluster_id))
        return Endpoint(address, self._secret, tls, name_of(rank))


def name_of(rank: int) -> str:
    """What certificates call a rank."""
    return f"rank-{rank}"
