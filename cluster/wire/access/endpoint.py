"""The two ends of a connection: where a server listens and what it asks for, where we call and what we prove.

The place for TLS.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from cluster.node.secret import Secret
from cluster.wire.access.proof import Metadata, Proof
from cluster.wire.transport.channel import bind, port_of

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a server of ours listens, and the secret that it asks for; port 0 takes a free one."""

    secret: Secret
    host: str = LOOPBACK
    port: int = 0

    def bind(self, server: grpc.Server | grpc.aio.Server) -> str:
        """The address "host:port" that `server` will listen on. UsageError if it cannot."""
        return bind(server, self.host, self.port)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """ "host:port", and the secret that is asked there; None where none is known, which such a server refuses."""

    address: str
    secret: Secret | None

    def prove(self, path: str) -> Proof | None:
        """For one call of the method at `path`."""
        return None if self.secret is None else Proof(self.secret, port_of(self.address), path)


def sent_with(proof: Proof | None) -> Metadata | None:
    """The metadata of a call that has this proof."""
    return None if proof is None else proof.metadata
