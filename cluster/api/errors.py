"""Every error that the project raises on purpose, and what it becomes at the edges.

    ClusterError                     INTERNAL             exit 1
    ├── UsageError (ValueError)      INVALID_ARGUMENT     exit 2   the caller asked for something impossible
    │   ├── ContextOverflowError     INVALID_ARGUMENT     exit 2   a prompt that the context does not hold
    │   ├── ModelFileError           INVALID_ARGUMENT     exit 2   the GGUF is damaged or hostile
    │   └── UnsupportedModelError    UNIMPLEMENTED        exit 2   the GGUF is sound, but cannot be cut exactly
    ├── CapacityError                RESOURCE_EXHAUSTED   exit 3   queue full, context too small, out of memory
    ├── UnreachableError             UNAVAILABLE          exit 4   no cluster at that address, or it went away
    │   ├── StageLostError           UNAVAILABLE          exit 4   a stage died while it held the request
    │   └── UnauthenticatedError     UNAUTHENTICATED      exit 4   one end does not know the cluster's secret
    ├── HandshakeError               FAILED_PRECONDITION  exit 1   two processes disagree about model or version
    └── CancelledError               CANCELLED            exit 1   the client went away

Each message has the form ``what: why; what to do``. A class owns one gRPC status name and one exit code, so
that no other place has to map them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cluster.api.results import Completion


class ClusterError(Exception):
    """Root of the tree. ``str(error)`` is one line, fit for a user.

    Attributes:
        completions: set where several prompts were asked for: what became of each, in their order.
    """

    grpc_status: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1
    completions: tuple[Completion | ClusterError, ...] = ()


class UsageError(ClusterError, ValueError):
    """The request cannot be carried out as asked; asking again unchanged will fail again."""

    grpc_status = "INVALID_ARGUMENT"
    exit_code = 2


class ContextOverflowError(UsageError):
    """A prompt that the context does not hold. Its numbers travel in its words, as all errors do."""

    _NUMBERS = re.compile(r"(\d+) tokens, but the context holds (\d+)")

    @classmethod
    def of(cls, field: str, num_tokens: int, context_length: int) -> ContextOverflowError:
        return cls(
            f"{field}: {num_tokens} tokens, but the context holds {context_length}; "
            "shorten it, or start the cluster with a larger --ctx-size"
        )

    @property
    def num_tokens(self) -> int:
        """Of the prompt, at least; 0 where it was too long to be counted."""
        found = self._NUMBERS.search(str(self))
        return int(found[1]) if found else 0

    @property
    def context_length(self) -> int:
        """0 where `num_tokens` is."""
        found = self._NUMBERS.search(str(self))
        return int(found[2]) if found else 0


class ModelFileError(UsageError):
    """A GGUF file is truncated, malformed or contradicts itself. The message names the field."""


class UnsupportedModelError(UsageError):
    """A sound GGUF that cannot be cut into slices with exact results, or does not do what is asked of it."""

    grpc_status = "UNIMPLEMENTED"


class CapacityError(ClusterError):
    """There is not enough room (queue, context, memory, devices). Trying later or smaller may work."""

    grpc_status = "RESOURCE_EXHAUSTED"
    exit_code = 3


class UnreachableError(ClusterError):
    """Nothing answers at the address, or the cluster went away."""

    grpc_status = "UNAVAILABLE"
    exit_code = 4


class StageLostError(UnreachableError):
    """A stage died or stopped answering; the message names it. The request's tokens so far were delivered."""


class UnauthenticatedError(UnreachableError):
    """Something listens at the address, but it and the caller do not know the same secret."""

    grpc_status = "UNAUTHENTICATED"


class HandshakeError(ClusterError):
    """The two ends of a stream disagree; the message names the field and both values."""

    grpc_status = "FAILED_PRECONDITION"


class CancelledError(ClusterError):
    """The request was cancelled before it finished."""

    grpc_status = "CANCELLED"


def error_named(name: str, message: str) -> ClusterError:
    """The error of that class; one that this version does not know is a ClusterError."""
    kind = globals().get(name)
    if isinstance(kind, type) and issubclass(kind, ClusterError):
        return kind(message)
    return ClusterError(message)


def error_for_status(grpc_status: str, message: str) -> ClusterError:
    """The error that a gRPC status name stands for: the inverse of ``grpc_status``, nearest the root."""
    by_status: dict[str, type[ClusterError]] = {
        kind.grpc_status: kind
        for kind in (
            UsageError,
            UnsupportedModelError,
            CapacityError,
            UnreachableError,
            UnauthenticatedError,
            HandshakeError,
            CancelledError,
        )
    }
    return by_status.get(grpc_status, ClusterError)(message)


def error_of_exit_code(exit_code: int, message: str) -> ClusterError:
    """The error that a command of ours ended with, nearest the root."""
    kinds = (UsageError, CapacityError, UnreachableError)
    return next((kind for kind in kinds if kind.exit_code == exit_code), ClusterError)(message)
