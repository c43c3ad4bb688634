"""Hello <-> protobuf, and the rule by which two ends agree."""

from __future__ import annotations

from dataclasses import fields

from cluster.api.errors import HandshakeError, UsageError
from cluster.messages.stage import Hello
from cluster.wire import limits
from cluster.wire.limits import check_name, check_range
from protos import stage_pb2

_NAMES = tuple(field.name for field in fields(Hello))


def encode_hello(hello: Hello) -> stage_pb2.Hello:
    return stage_pb2.Hello(**{name: getattr(hello, name) for name in _NAMES})


def decode_hello(message: stage_pb2.Hello) -> Hello:
    """UsageError names a field that is out of bounds."""
    for name in ("model_hash", "build", "wire_dtype"):
        check_name(f"hello.{name}", getattr(message, name))
    check_range("hello.epoch", message.epoch, 0, limits.MAX_COUNT)
    check_range("hello.num_stages", message.num_stages, 1, limits.MAX_STAGES)
    check_range("hello.stage", message.stage, 0, message.num_stages - 1)
    check_range("hello.end", message.end, 1, limits.MAX_LAYERS)
    check_range("hello.first", message.first, 0, message.end - 1)
    check_range("hello.hidden_width", message.hidden_width, 1, limits.MAX_HIDDEN_WIDTH)
    check_range("hello.num_slots", message.num_slots, 1, limits.MAX_SLOTS)
    check_range("hello.context_length", message.context_length, 1, limits.MAX_CONTEXT)
    if message.wire_dtype != "f32":
        raise UsageError(f"hello.wire_dtype: {message.wire_dtype!r} is unknown; it must be 'f32'")
    return Hello(**{name: getattr(message, name) for name in _NAMES})


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
