"""The first meeting with a cluster's head: its authority is taken from what the head sends, and then compared.

The certificate of the authority is public, and comes from whoever answers. It is believed only because the hash of its
key is part of the join string.
"""

from __future__ import annotations

import hmac
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cluster.api.errors import ClusterError, UnauthenticatedError, UnreachableError, UsageError
from cluster.trust.certificate import Certificate, ca_hash, check_issued, to_pem

TIMEOUT_S = 5.0
MAX_CHAIN = 4


@dataclass(frozen=True, slots=True)
class Met:
    """A head that the join string is of."""

    ca_pem: bytes
    head: Certificate
    head_host: str  # the IP address that answered
    own_host: str  # the address of this machine from which it reaches the head


def meet(
    host: str,
    port: int,
    expected_hash: str,
    now_s: float,
    timeout_s: float = TIMEOUT_S,
    *,
    told_by: str = "cluster token create",
) -> Met:
    """Connect to a port of the head for those who are no members, and find out whether it is that of the join string.

    `told_by`: the command that printed `expected_hash`.

    UnreachableError where nobody answers in time, or something else does; UnauthenticatedError where another cluster
    answers, or somebody between; ClusterError for certificates that do not count at `now_s` (seconds since 1970).
    """
    where = f"{host} port {port}"
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            own_host, head_host = connection.getsockname()[0], connection.getpeername()[0]
            chain = _chain_of(connection)
    except ssl.SSLError as error:
        raise UnreachableError(
            f"{where}: what listens there is not the door of a cluster ({error.reason or error}); give the address and "
            f"port that goes with what {told_by} prints"
        ) from error
    except TimeoutError:
        raise UnreachableError(
            f"{where}: no answer within {timeout_s:g} s; see that cluster up runs there, and that the port is open"
        ) from None
    except OSError as error:
        raise UnreachableError(
            f"{where}: {error.strerror or error}; see that cluster up runs there, and that the port is open"
        ) from error
    except UnicodeError as error:
        raise UsageError(f"{host[:80]!r}: no name of a machine; give the head's address") from error
    ca = _authority_in(chain, expected_hash, where, told_by)
    head = check_issued(chain[0], ca, now_s)
    if not head.is_head:
        raise UnauthenticatedError(f"{where}: that is node {head.node}, not the head; give the head's address")
    return Met(to_pem(ca), head, head_host, own_host)


def _chain_of(connection: socket.socket) -> list[bytes]:
    """The certificates that the other end sends, as DER, its own first. Nothing of them is believed yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(connection, suppress_ragged_eofs=True) as secured:
        # It has a public name from Python 3.13 on, and gives bytes there.
        named: Any = secured
        source = named if hasattr(named, "get_unverified_chain") else named._sslobj
        sent: Sequence[Any] = source.get_unverified_chain() or ()
    return [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in sent[:MAX_CHAIN]]


def _authority_in(chain: Sequence[bytes], expected_hash: str, where: str, told_by: str) -> bytes:
    for certificate in chain[1:]:
        try:
            found = ca_hash(certificate)
        except ClusterError:
            continue
        if hmac.compare_digest(found, expected_hash):
            return certificate
    raise UnauthenticatedError(
        f"{where}: another cluster answers there than the one that was meant, or somebody between; use the whole line "
        f"that {told_by} prints on the head now"
    )
