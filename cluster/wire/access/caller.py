"""Which node calls, by the certificate that it showed."""

from __future__ import annotations

from typing import Any

import grpc

from cluster.api.errors import UnauthenticatedError
from cluster.trust.identity import Identity, server_name

Context = grpc.ServicerContext | grpc.aio.ServicerContext[Any, Any]


def calling_node(context: Context, own: Identity) -> str:
    """The name of the node that calls a server of the node `own`, which asks callers for certificates.

    Over plaintext it is a process of our own node: only loopback answers that. UnauthenticatedError unless the
    certificate is that of one node of the same cluster.
    """
    shown = context.auth_context()
    if shown.get("transport_security_type") != [b"ssl"]:
        return own.name
    suffix = server_name("", own.cluster_id)
    names = [bytes(name).decode("utf-8", "replace") for name in shown.get("x509_subject_alternative_name", ())]
    nodes = [name.removesuffix(suffix) for name in names if name.endswith(suffix) and name != suffix]
    if len(nodes) != 1:
        raise UnauthenticatedError("the caller's certificate is not that of a node of this cluster; join it anew")
    return nodes[0]
