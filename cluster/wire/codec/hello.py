"""Hello <-> protobuf, and the rule by which two ends agree."""

from __future__ import annotations

from dataclasses import fields

from cluster.api.errors import HandshakeError, UsageError
from cluster.messages.stage import ARRAYS, F32, Hello
from cluster.wire import limits
from cluster.wire.codec.record import fields_of, record_of
from cluster.wire.limits import check_range
from protos import stage_pb2

HELLO_BOUNDS = {
    "hello.model_hash": (0, limits.MAX_NAME_CHARS),
    "hello.build": (0, limits.MAX_NAME_CHARS),
    "hello.wire_dtype": (0, limits.MAX_NAME_CHARS),
    "hello.num_stages": (1, limits.MAX_STAGES),
    "hello.end": (1, limits.MAX_LAYERS),
    "hello.hidden_width": (1, limits.MAX_HIDDEN_WIDTH),
    "hello.picture_width": (0, limits.MAX_HIDDEN_WIDTH),
    "hello.num_slots": (1, limits.MAX_SLOTS),
    "hello.context_length": (1, limits.MAX_CONTEXT),
}
_NAMES = tuple(field.name for field in fields(Hello))


def encode_hello(hello: Hello, invitation: stage_pb2.Invitation | None = None) -> stage_pb2.Hello:
    return stage_pb2.Hello(**fields_of(hello), invitation=invitation)


def decode_hello(message: stage_pb2.Hello) -> Hello:
    """UsageError names a field that is out of bounds."""
    return check_bounds(record_of(Hello, message, "hello", HELLO_BOUNDS))


def check_bounds(hello: Hello) -> Hello:
    """What the bounds of single fields do not say. UsageError."""
    check_range("hello.stage", hello.stage, 0, hello.num_stages - 1)
    check_range("hello.first", hello.first, 0, hello.end - 1)
    if hello.wire_dtype not in (F32, ARRAYS):
        raise UsageError(f"hello.wire_dtype: {hello.wire_dtype!r} is unknown; it must be {F32!r} or {ARRAYS!r}")
    return hello


def check_hello(own: Hello, received: Hello) -> None:
    """HandshakeError at the first field in which the ends differ, or if the epoch has passed."""
    for name in _NAMES:
        ours, theirs = getattr(own, name), getattr(received, name)
        if name != "epoch" and ours != theirs:
            raise HandshakeError(
                f"hello.{name}: stage {own.stage} has {ours!r}, its peer has {theirs!r}; "
                "start both from the same model, plan and version"
            )
    if received.epoch < own.epoch:
        raise HandshakeError(
            f"hello.epoch: stage {own.stage} is in epoch {own.epoch}, its peer in {received.epoch}; "
            "connect again with the newest epoch"
        )
