"""Errors <-> gRPC status: the class's status and message, and its name in the trailing metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from cluster.api import errors
from cluster.api.errors import ClusterError, UnauthenticatedError, UnreachableError

ERROR_KEY = "cluster-error"
SECRET_ADVICE = (
    "give that of the cluster that runs there now: secret=, a file named by CLUSTER_SECRET_FILE, or what "
    "cluster connect prints there"
)
# gRPC sends messages percent-encoded in headers, which peers may limit to 8 KiB.
_MAX_DETAIL_BYTES = 2000

_CLASSES: dict[str, type[ClusterError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ClusterError)
}
# Statuses that gRPC itself gives when there is no peer, no longer one, or one that serves something else.
_GONE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
}
# How the transport says in other statuses that the connection broke in the middle of a call.
_BROKEN = ("Received RST_STREAM", "Received http2 header", "Stream removed", "Socket closed", "Connection reset")


def status_of(error: ClusterError) -> grpc.StatusCode:
    return grpc.StatusCode[error.grpc_status]


def detail_of(error: ClusterError) -> str:
    """The message, cut to what fits in a header."""
    return str(error).encode("utf-8", "replace")[:_MAX_DETAIL_BYTES].decode("utf-8", "ignore")


def metadata_of(error: ClusterError) -> tuple[tuple[str, str], ...]:
    return ((ERROR_KEY, name_of(error)),)


def name_of(error: ClusterError) -> str:
    return type(error).__name__


@contextmanager
def aborting(context: grpc.ServicerContext) -> Iterator[None]:
    """One of our errors in the block ends the call with its status, message and class."""
    try:
        yield
    except ClusterError as error:
        context.set_trailing_metadata(metadata_of(error))
        context.abort(status_of(error), detail_of(error))


def is_broken(error: grpc.RpcError) -> bool:
    """Whether the connection broke, or none came about: nobody has answered the call, not even with an error."""
    if _named_class(error.trailing_metadata() or ()) is not None:
        return False
    return error.code() is grpc.StatusCode.UNAVAILABLE or (error.details() or "").startswith(_BROKEN)


def initial_metadata_of(error: grpc.RpcError) -> Any:
    """Of the call that ended so: what had come of its answer. Empty, or None, where nothing had."""
    return error.initial_metadata()  # type: ignore[attr-defined]  # its stubs leave it out


def error_from_call(error: grpc.RpcError, what: str, advice: str) -> ClusterError:
    """The project's error for a failed call.

    A peer's own error comes back as the class that it was raised as, with its message. gRPC's errors read
    ``what: reason; advice``.
    """
    code: grpc.StatusCode = error.code()
    # The cause follows "failed to connect to all addresses; last error: UNKNOWN: ".
    details: str = (error.details() or code.name).rpartition("last error: ")[2].removeprefix("UNKNOWN: ")
    kind = _named_class(error.trailing_metadata() or ())
    if kind is not None and kind.grpc_status == code.name:
        return kind(error.details())
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return UnauthenticatedError(f"{what}: {details}; {SECRET_ADVICE}")
    message = f"{what}: {details}; {advice}"
    if code in _GONE or details.startswith(_BROKEN):
        return UnreachableError(message)
    return errors.error_for_status(code.name, message)


def _named_class(metadata: Iterable[Any]) -> type[ClusterError] | None:
    for key, value in metadata:
        if key == ERROR_KEY:
            return _CLASSES.get(value if isinstance(value, str) else "")
    return None
