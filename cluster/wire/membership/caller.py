"""Who calls a server that demands certificates, and how it is called."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from cluster.api.errors import UnauthenticatedError
from cluster.trust.certificate import Certificate, read_certificate
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.codec.membership import decode
from cluster.wire.transport.methods import method_path, serialize
from cluster.wire.transport.tls import CallerTls

Record = TypeVar("Record")


def caller_of(context: grpc.ServicerContext) -> Certificate:
    """What the caller's certificate says, which TLS has found to be of our authority. UnauthenticatedError."""
    shown: Any = context.auth_context()
    found = list(shown.get("x509_pem_cert") or [])
    if len(found) != 1:
        raise UnauthenticatedError("certificate: the caller has shown none; join the cluster")
    return read_certificate(bytes(found[0]))


class UnaryClient:
    """Calls one service at `address`. Close it."""

    def __init__(self, service: str, address: str, tls: CallerTls, advice: str) -> None:
        """`advice`: what to do where nobody answers. UsageError if that is no address. It connects with a call."""
        self._service = service
        self._what = f"{service.lower()} at {address}"
        self._advice = advice
        self._endpoint = Endpoint(address, None, tls)
        self._channel = self._endpoint.open_channel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def call(self, method: str, request: Message, kind: type[Record], timeout_s: float) -> Record:
        """The answer, a record of that kind. ClusterError as the server raised it; UnreachableError; UsageError."""
        return decode(kind, self.send(method, request, timeout_s))

    def send(self, method: str, request: Message, timeout_s: float) -> bytes:
        """The same, for an answer that says nothing."""
        call: Any = self._channel.unary_unary(method_path(self._service, method), serialize, bytes)
        try:
            answer: bytes = call(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self._endpoint.error_of(error, self._what, self._advice) from error
        return answer

    def close(self) -> None:
        self._channel.close()
