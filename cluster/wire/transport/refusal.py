"""Why a connection did not come about, where TLS is the reason: gRPC says the same words for many of them.

A server that does not believe a caller's certificate just hangs up, and so does one that is spoken to in plaintext.
Then the handshake is repeated once, by Python's own TLS, to see how far it goes.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import ssl

import grpc

from cluster.wire.transport.tls import CallerTls

PROBE_TIMEOUT_S = 2.0
_NO_CONNECTION = "failed to connect"
_HUNG_UP = ("Socket closed", "Connection reset", "recvmsg:")
# What gRPC's own TLS says (BoringSSL), and what it means.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
_OTHER_NAME = ("Hostname Verification Check failed", "does not match SSL server name", "certificate_verify_failed: ip")
_NOT_BELIEVED = "CERTIFICATE_VERIFY_FAILED"


def hung_up(error: grpc.RpcError) -> bool:
    """Whether a connection was closed before it was of use: `refusal_of` then asks again, for up to two seconds."""
    details = error.details() or ""
    return details.startswith(_NO_CONNECTION) and any(words in details for words in _HUNG_UP)


def refusal_of(error: grpc.RpcError, address: str, tls: CallerTls | None) -> str | None:
    """Why the ends of a call do not believe each other, as ``reason; what to do``; None: that is not what failed."""
    details = error.details() or ""
    if hung_up(error):
        return _asked_again(address, tls)
    if tls is None or error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED):
        return None
    if any(words in details for words in _OTHER_NAME):
        return f"its certificate is not one of {tls.server_name}; {_anew(tls)}"
    if any(words in details for words in _NOT_TLS):
        return "what listens there does not speak TLS; see what it is, and that its cluster runs without --insecure"
    if _NOT_BELIEVED in details:
        return _not_believed(details, tls)
    return None


def _not_believed(details: str, tls: CallerTls) -> str:
    if "expired" in details:
        return "its certificate has expired; there, run cluster join, or cluster up on the head"
    if "not yet valid" in details:
        return "its certificate is not valid yet; set the clocks of both machines"
    if "purpose" in details:
        return f"its certificate is not one for servers; {_anew(tls)}"
    return f"its certificate is one of another cluster; {_anew(tls)}"


def _anew(tls: CallerTls) -> str:
    """What to do where somebody else answers than who was expected."""
    if tls.cert_pem:
        return "see that the address is the node's own, and join the cluster again: cluster join"
    return "on a node of the cluster, run cluster connect, and use what it prints now"


def _asked_again(address: str, tls: CallerTls | None) -> str | None:
    host, _, port = address.rpartition(":")
    try:
        context = _context(tls)
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_TIMEOUT_S) as connection:
            connection.settimeout(PROBE_TIMEOUT_S)
            with context.wrap_socket(connection, server_hostname=tls.server_name if tls else None) as secured:
                if tls is None:
                    return (
                        "it speaks TLS only, and nothing says how to know it; on a node of the cluster, run cluster "
                        "connect, and give the file that it prints: --connect FILE, or CLUSTER_CONFIG"
                    )
                with contextlib.suppress(ssl.SSLError, ConnectionError):
                    if secured.recv(1):  # a server of gRPC speaks first
                        return None
                return _not_accepted(tls)
    except (OSError, ValueError):  # of the network, or what gRPC would name itself
        return None


def _not_accepted(tls: CallerTls) -> str:
    """The server closed the connection once it had seen our certificate, or that we have none."""
    if not tls.cert_pem:
        return "it speaks to nodes of the cluster only; give the address at which the cluster answers clients"
    from cluster.trust.soundness import fault_of_pair  # where there are certificates, it can be loaded

    fault = fault_of_pair(tls.ca_pem, tls.cert_pem, tls.key_pem, datetime.datetime.now(datetime.UTC))
    if fault:
        return f"it does not accept this node's certificate: {fault}; join the cluster again: cluster join"
    return (
        "it does not accept this node's certificate, which is sound by the clock here: it is of another cluster, or "
        "its clock is wrong; set the clocks of both machines, or join the cluster again: cluster join"
    )


def _context(tls: CallerTls | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if tls is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.load_verify_locations(cadata=tls.ca_pem.decode("ascii"))
    if tls.cert_pem:
        _show(context, tls)
    return context


def _show(context: ssl.SSLContext, tls: CallerTls) -> None:
    """Python takes a key from a file only: this one is in memory, and has no name that others could open."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, tls.cert_pem + tls.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
