"""The two ends of a connection: where a server listens and what it asks for, where we call and what we prove."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import grpc

from cluster.api.errors import ClusterError, UnauthenticatedError, UsageError
from cluster.api.hosts import is_loopback
from cluster.api.status import Protection
from cluster.node.home import LOOPBACK
from cluster.node.secret import Secret
from cluster.wire.access.caller import Context, calling_node
from cluster.wire.access.proof import Metadata, Proof
from cluster.wire.transport.channel import (
    bind,
    check_port_free,
    free_port_at,
    host_of,
    open_aio_channel,
    open_channel,
    port_of,
)
from cluster.wire.transport.refusal import refusal_of
from cluster.wire.transport.status import error_from_call
from cluster.wire.transport.tls import CallerTls, CurrentIdentity, server_credentials

NUM_TRIES = 16  # where a port must be free at two addresses, and the system chooses for one of them


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a server of ours listens, and what it asks callers for."""

    secret: Secret
    host: str = LOOPBACK
    ports: int | range = 0  # 0 takes a free one, of a range the first free one is taken
    identity: CurrentIdentity | None = None  # shown to callers over TLS; None is for plaintext
    is_mutual: bool = True  # over TLS: callers must show a certificate of the same cluster
    has_loopback: bool = False  # 127.0.0.1 answers at the same port, in plaintext: for processes of this machine

    def bind(self, server: grpc.Server | grpc.aio.Server) -> str:
        """The address "host:port" that `server` will listen on. UsageError if it cannot."""
        credentials = server_credentials(self.identity, is_mutual=self.is_mutual) if self.identity else None
        refused: UsageError | None = None
        for port in self._candidates():
            try:
                if self.has_loopback:
                    check_port_free(LOOPBACK, port)
                address = bind(server, self.host, port, credentials)
                if self.has_loopback:
                    bind(server, LOOPBACK, port)
                return address
            except UsageError as error:
                refused = error
        assert refused is not None, "a range of ports is never empty"
        if isinstance(self.ports, int):
            raise refused
        first, last = self.ports.start, self.ports.stop - 1
        raise UsageError(f"ports {first} to {last} on {self.host}: none is free; the last try: {refused}")

    @property
    def protection(self) -> Protection:
        """How what passes here is kept from others."""
        if self.identity is not None:
            return Protection.TLS
        return Protection.LOOPBACK if is_loopback(self.host) else Protection.NONE

    def caller(self, context: Context) -> str:
        """The node that calls; "" where callers show no certificates. UnauthenticatedError for one that is none."""
        return calling_node(context, self.identity()) if self.identity and self.is_mutual else ""

    def _candidates(self) -> Iterable[int]:
        if isinstance(self.ports, range):
            return self.ports
        if self.ports == 0 and self.has_loopback:
            return (free_port_at(self.host) for _ in range(NUM_TRIES))
        return (self.ports,)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """ "host:port", and the secret that is asked there; None where none is known, which such a server refuses."""

    address: str
    secret: Secret | None
    tls: CallerTls | None = None  # None is for plaintext
    node: str = ""  # whose address it is; empty where there is one machine only
    may_meet: bool = True  # streams leave gRPC for a Unix socket where both ends are on one machine

    @property
    def where(self) -> str:
        """For people: machines are known by their names."""
        return f"{self.address} on {self.node}" if self.node else self.address

    def open_channel(self, *, single_threaded: bool = False) -> grpc.Channel:
        """A channel to it; it connects with the first call. UsageError if there is no address; see `open_channel`."""
        return open_channel(self.address, self.tls, single_threaded=single_threaded)

    def open_aio_channel(self) -> grpc.aio.Channel:
        """The same, for the event loop that is running."""
        return open_aio_channel(self.address, self.tls)

    def proving(self, secret: Secret) -> Endpoint:
        """The same, with another secret."""
        return replace(self, secret=secret)

    def error_of(self, error: grpc.RpcError, what: str, advice: str) -> ClusterError:
        """The project's error for a call that failed before its connection was of use: see `error_from_call`.

        Where the two ends do not believe each other it is an UnauthenticatedError that says why, which may take two
        seconds.
        """
        refusal = refusal_of(error, self.address, self.tls)
        if refusal is not None:
            return UnauthenticatedError(f"{what}: {refusal}")
        found = error_from_call(error, what, advice)
        if isinstance(found, UnauthenticatedError) and self.tls is None and not is_loopback(host_of(self.address)):
            return UnauthenticatedError(
                f"{found}; in plaintext the clocks of both machines must agree to a minute, too"
            )
        return found

    def prove(self, path: str) -> Proof | None:
        """For one call of the method at `path`."""
        if self.secret is None:
            return None
        return Proof(self.secret, None if self.tls else port_of(self.address), path)


def sent_with(proof: Proof | None) -> Metadata | None:
    """The metadata of a call that has this proof."""
    return None if proof is None else proof.metadata
