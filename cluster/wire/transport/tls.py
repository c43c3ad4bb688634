"""TLS of our connections: what each end shows, and by which name it knows the other.

Names are those that the cluster's own authority put into certificates, not addresses: those may change, and the
certificate of one node is worth nothing in the place of another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import grpc

from cluster.trust.identity import Identity

# What a process shows at this moment: a renewed certificate is taken at the next handshake.
CurrentIdentity = Callable[[], Identity]


@dataclass(frozen=True, slots=True)
class CallerTls:
    """What a caller believes and shows, in PEM."""

    server_name: str  # the certificate at the other end must be for it
    ca_pem: bytes
    cert_pem: bytes = b""  # empty: nothing is shown, as by clients of the inference server
    key_pem: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, identity: Identity, server_name: str) -> CallerTls:
        """Of a node that calls another."""
        return cls(server_name, identity.ca_pem, identity.cert_pem, identity.key_pem)

    @property
    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.ca_pem, self.key_pem or None, self.cert_pem or None)

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        """Of the channel, beside its other ones."""
        return (("grpc.ssl_target_name_override", self.server_name),)


def with_authority(current: CurrentIdentity) -> CurrentIdentity:
    """The same, with the authority's certificate in the chain that is sent.

    It is public. Those who know only the hash of its key take it there, and compare.
    """
    seen: Identity | None = None
    shown: Identity | None = None

    def chained() -> Identity:
        nonlocal seen, shown
        identity = current()
        if shown is None or identity is not seen:
            seen, shown = identity, replace(identity, cert_pem=identity.cert_pem + identity.ca_pem)
        return shown

    return chained


def server_credentials(current: CurrentIdentity, *, is_mutual: bool) -> grpc.ServerCredentials:
    """For a server that shows this identity; `is_mutual`: callers must show one of the same cluster."""
    shown = current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC before each handshake; streams that are open stay as they are."""
        nonlocal shown
        identity = current()
        if identity is shown:
            return None
        shown = identity
        return _configuration(identity, is_mutual)

    # None is for no change, which the stubs leave out.
    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown, is_mutual),
        renewed,  # type: ignore[arg-type]
        is_mutual,
    )


def _configuration(identity: Identity, is_mutual: bool) -> grpc.ServerCertificateConfiguration:
    pair = (identity.key_pem, identity.cert_pem)
    return grpc.ssl_server_certificate_configuration([pair], identity.ca_pem if is_mutual else None)
