"""TLS of the services of membership: what each end shows, and by which name it knows the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from cluster.trust.identity import Identity

CurrentIdentity = Callable[[], Identity]


@dataclass(frozen=True, slots=True)
class CallerTls:
    """What a caller believes and shows, in PEM."""

    server_name: str
    ca_pem: bytes
    cert_pem: bytes = b""
    key_pem: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, identity: Identity, server_name: str) -> CallerTls:
        return cls(server_name, identity.ca_pem, identity.cert_pem, identity.key_pem)

    @property
    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.ca_pem, self.key_pem or None, self.cert_pem or None)

    @property
    def options(self) -> tuple[tuple[str, Any], ...]:
        return (("grpc.ssl_target_name_override", self.server_name),)


def server_credentials(current: CurrentIdentity, *, is_mutual: bool) -> grpc.ServerCredentials:
    """For a server that shows this identity; `is_mutual`: callers must show one of the same cluster."""
    shown = current()
    pair = (shown.key_pem, shown.cert_pem)
    return grpc.ssl_server_credentials([pair], shown.ca_pem if is_mutual else None, is_mutual)
