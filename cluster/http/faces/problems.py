"""What the cluster's errors are to those who speak HTTP."""

from __future__ import annotations

import re
from typing import Any

from cluster.api.errors import (
    CancelledError,
    CapacityError,
    ClusterError,
    ContextOverflowError,
    UnauthenticatedError,
    UnreachableError,
    UnsupportedModelError,
    UsageError,
)
from cluster.http.faces.face import Problem

RETRY_AFTER_S = 1.0  # of a full queue; a cluster that is being repaired takes longer
REPAIR_RETRY_AFTER_S = 5.0

_FIELD = re.compile(r"([A-Za-z_][\w.\[\]-]*): ")


class NotFoundError(UsageError):
    """What a request names is not here."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.code), vars(self)


def problem_of(error: ClusterError, request_id: str = "") -> Problem:
    """Status, type and code by the error's class, and the field by its message."""
    message = str(error)
    match error:
        case ContextOverflowError():
            return _context_exceeded(error, request_id)
        case UnsupportedModelError():
            return Problem(501, "not_supported_error", message, "not_supported", request_id=request_id)
        case NotFoundError():
            param = message.partition(":")[0]
            return Problem(404, "invalid_request_error", message, error.code, param, request_id=request_id)
        case UsageError():
            field = _FIELD.match(message)
            param = field[1] if field else ""
            return Problem(400, "invalid_request_error", message, "invalid_value", param, request_id=request_id)
        case CapacityError():
            return Problem(429, "rate_limit_error", message, "queue_full", "", RETRY_AFTER_S, request_id=request_id)
        case UnauthenticatedError():  # this server and the cluster, not the client
            return Problem(502, "server_error", message, "cluster_secret", request_id=request_id)
        case UnreachableError():
            wait_s = REPAIR_RETRY_AFTER_S
            return Problem(503, "unavailable_error", message, "unavailable", "", wait_s, request_id=request_id)
        case CancelledError():
            return Problem(499, "cancelled_error", message, "cancelled", request_id=request_id)
        case _:
            return Problem(500, "server_error", message, "internal_error", request_id=request_id)


def _context_exceeded(error: ContextOverflowError, request_id: str) -> Problem:
    """In the words that agents look for: one phrase is OpenAI's, the other one Anthropic's."""
    num_tokens, context_length = error.num_tokens, error.context_length
    message = str(error)
    if context_length:
        message = (
            f"prompt: this model's maximum context length is {context_length} tokens, and the prompt is too long: "
            f"{num_tokens} tokens > {context_length} maximum; shorten it, or start the cluster with a larger context"
        )
    more = {"n_prompt_tokens": num_tokens, "n_ctx": context_length}
    kind, code = "exceed_context_size_error", "context_length_exceeded"
    return Problem(400, kind, message, code, "messages", more=more, request_id=request_id)
