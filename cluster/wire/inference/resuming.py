"""Requests that are asked for again, after the process that was asked first is gone."""

from __future__ import annotations

from cluster.api.errors import UnreachableError
from cluster.wire.codec.inference import PromptRequest
from cluster.wire.inference.backend import Cancel, EventSink, InferenceBackend


def resumed(backend: InferenceBackend, request: PromptRequest, sink: EventSink) -> Cancel | None:
    """Goes on with a request that is kept; None for one that is to begin. UnreachableError where it was lost."""
    if not request.ticket:
        return None
    cancel = backend.resume(request.ticket, request.num_received, sink)
    if cancel is None and request.num_received:
        raise UnreachableError(
            f"request: its answer broke off after {request.num_received} events, and nothing is known of it any more; "
            "ask again from the beginning"
        )
    return cancel
