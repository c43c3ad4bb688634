"""What this API calls errors."""

from __future__ import annotations

# The names of errors, by the status they come with; 503 is what the SDK calls overloaded, too.
KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_kind(status: int) -> str:
    return KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
