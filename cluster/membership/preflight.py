"""A TLS handshake of our own with a port of the cluster, which says exactly what is wrong: gRPC and Ray do not.

Ray hangs for a minute where a certificate is of another authority, and for ever where one lacks the address.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from cluster.api.errors import ClusterError, UnauthenticatedError, UnreachableError
from cluster.node.home import Home
from cluster.trust.certificate import REJOIN, Certificate, check_certificate
from cluster.trust.held_identity import HeldIdentity
from cluster.trust.identity import CA_FILE, CERTIFICATE_FILE, KEY_FILE, Identity, read_identity

TIMEOUT_S = 5.0
_SEE = "see that it is up and its port open"
# Of OpenSSL: include/openssl/x509_vfy.h
_NOT_YET_VALID, _EXPIRED, _HOST_MISMATCH, _ADDRESS_MISMATCH = 9, 10, 62, 64
_OTHER_AUTHORITY = (2, 7, 18, 19, 20, 21)


def own_identity(home: Home) -> Identity:
    """The identity in this home. ClusterError where this machine is no node."""
    if home.record is None:
        raise ClusterError(f"{home.folder}: this machine is no node of a cluster; join one: cluster join")
    try:
        return read_identity(home.identity_folder, home.record.name, home.record.cluster_id)
    except FileNotFoundError as error:
        raise ClusterError(f"{home.identity_folder}: the certificate is gone; {REJOIN}") from error


def held_identity(home: Home) -> Callable[[], Identity]:
    """The identity in this home, for a server: one that is renewed there is taken. ClusterError as `own_identity`."""
    own_identity(home)
    assert home.record is not None
    return HeldIdentity(home.identity_folder, home.record.name, home.record.cluster_id).current


def check_own(home: Home) -> Certificate:
    """This node's certificate, once it is sure that it proves this node at its address, now. ClusterError."""
    identity = own_identity(home)
    assert home.record is not None
    return check_certificate(identity, home.record.host, time.time())


def check_tls(home: Home, host: str, port: int, server_name: str = "", timeout_s: float = TIMEOUT_S) -> None:
    """Shake hands with `host`:`port` as this node, and be accepted.

    `server_name`: whom its certificate must name; where empty, the address itself, as Ray asks it. UnreachableError
    where nothing answers in time; UnauthenticatedError where one end does not believe the other.
    """
    where = f"{host} port {port}"
    context, is_met = _context(home.identity_folder), False
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            with context.wrap_socket(connection, server_hostname=server_name or host) as secured:
                is_met = True
                # A server of gRPC speaks first. One that does not believe us hangs up instead: with TLS 1.3, only now.
                if not secured.recv(1):
                    raise ConnectionResetError("closed")
    except ssl.SSLCertVerificationError as error:
        raise UnauthenticatedError(f"{where}: {_reason(error, server_name or host)}") from error
    except TimeoutError:
        raise UnreachableError(f"{where}: no answer within {timeout_s:g} s; {_SEE}") from None
    except (ssl.SSLError, ConnectionResetError) as error:
        reason = (getattr(error, "reason", None) or error.strerror or str(error)).lower().replace("_", " ")
        if is_met or "alert" in reason:
            raise UnauthenticatedError(
                f"{where}: does not believe this node's certificate ({reason}): the cluster there has another "
                f"authority, or its clock is wrong; {REJOIN}"
            ) from error
        raise UnauthenticatedError(
            f"{where}: no TLS there ({reason}); see that the cluster was not started with --insecure"
        ) from error
    except OSError as error:
        raise UnreachableError(f"{where}: {error.strerror or error}; {_SEE}") from error


def _context(folder: Path) -> ssl.SSLContext:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(folder / CA_FILE)
        context.load_cert_chain(folder / CERTIFICATE_FILE, folder / KEY_FILE)
        context.set_alpn_protocols(["h2"])
    except (OSError, ValueError) as error:
        raise ClusterError(f"{folder}: certificate or key cannot be used ({error}); {REJOIN}") from error
    return context


def _reason(error: ssl.SSLCertVerificationError, wanted: str) -> str:
    if error.verify_code == _EXPIRED:
        return "its certificate has ended; renew it there: cluster join, or cluster up"
    if error.verify_code == _NOT_YET_VALID:
        return "its certificate is not valid yet; set the clocks of both machines"
    if error.verify_code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
        return f"its certificate is not one of {wanted}; join there again at that address"
    if error.verify_code in _OTHER_AUTHORITY:
        return f"its certificate is of another cluster's authority; {REJOIN}"
    return f"its certificate is not believed ({error.verify_message}); {REJOIN}"
