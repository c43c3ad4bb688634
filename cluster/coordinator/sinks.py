"""What the engine gives its readers, as those of the wire take it."""

from __future__ import annotations

from cluster.api.errors import ClusterError
from cluster.api.results import TokenEvent
from cluster.engine.events import Embedding, LogitsRows, Output
from cluster.wire.inference.backend import EmbedSink, EventSink, LogitsSink


def pass_event(sink: EventSink, output: Output) -> None:
    """Of a request for text."""
    assert isinstance(output, TokenEvent | ClusterError), "a text request got logits"
    sink(output)


def pass_vector(sink: EmbedSink, output: Output) -> None:
    """Of a request for one vector."""
    assert isinstance(output, Embedding | ClusterError), "a request for a vector got text"
    sink(output if isinstance(output, ClusterError) else output.vector)


def pass_logits(sink: LogitsSink, output: Output) -> None:
    """Of a request for logits: rows, and None behind the last ones."""
    if isinstance(output, LogitsRows):
        sink(output.rows)
        if output.is_last:
            sink(None)
    else:
        assert isinstance(output, ClusterError), "a logits request got text"
        sink(output)
