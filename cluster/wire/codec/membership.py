"""What passes between head and nodes <-> messages, with the limit of every field."""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.message import Message

from cluster.messages.membership import (
    Admission,
    Confirmation,
    ConfirmRequest,
    EndRequest,
    Grant,
    JoinRequest,
    LeaveRequest,
    NodesReply,
    Presence,
    RegisterRequest,
    RenewRequest,
)
from cluster.wire.codec.record import Bounds, fields_of, record_of
from cluster.wire.limits import parse
from protos import membership_pb2

MAX_NODES = 1024
MAX_PEM_CHARS = 4096
MAX_FIELD_CHARS = 64  # names, addresses, ids, numbers in digits
MAX_SECRET_CHARS = 256
MAX_REASON_CHARS = 512
MAX_SUMMARY_CHARS = 1024

Record = TypeVar("Record")
_PEM, _FIELD, _SECRET, _REASON = (
    (0, limit) for limit in (MAX_PEM_CHARS, MAX_FIELD_CHARS, MAX_SECRET_CHARS, MAX_REASON_CHARS)
)
_VERSIONS = ("program", "python", "ray", "llama", "platform")


def _versions_in(where: str) -> dict[str, tuple[int, int]]:
    return {f"{where}.versions.{name}": _FIELD for name in _VERSIONS}


# By the record: its message, what a message of it is called in errors, and the bounds of its fields.
_KINDS: dict[type, tuple[type[Message], str, Bounds]] = {
    JoinRequest: (
        membership_pb2.JoinRequest,
        "join",
        {
            "join.token_id": _FIELD,
            "join.secret": _FIELD,
            "join.request_pem": _PEM,
            "join.name": _FIELD,
            "join.host": _FIELD,
            "join.nonce": _FIELD,
            **_versions_in("join"),
        },
    ),
    Admission: (membership_pb2.Admission, "admission", {"admission.cert_pem": _PEM}),
    RegisterRequest: (
        membership_pb2.RegisterRequest,
        "register",
        {"register.host": _FIELD, **_versions_in("register")},
    ),
    Grant: (
        membership_pb2.Grant,
        "grant",
        {
            "grant.gcs_address": _FIELD,
            "grant.ray_token": _SECRET,
            "grant.secret": _FIELD,
            "grant.client_secret": _FIELD,
            "grant.instance": _FIELD,
            "grant.namespace": _FIELD,
            "grant.first_port": (1, 65535),
            **_versions_in("grant"),
        },
    ),
    ConfirmRequest: (membership_pb2.ConfirmRequest, "confirm", {}),
    Confirmation: (membership_pb2.Confirmation, "confirmation", {"confirmation.summary": (0, MAX_SUMMARY_CHARS)}),
    RenewRequest: (
        membership_pb2.RenewRequest,
        "renew",
        {"renew.request_pem": _PEM, "renew.host": _FIELD, "renew.nonce": _FIELD},
    ),
    LeaveRequest: (membership_pb2.LeaveRequest, "leave", {"leave.reason": _REASON}),
    NodesReply: (
        membership_pb2.NodesReply,
        "list",
        {
            "list.nodes": (0, MAX_NODES),
            "list.nodes.name": _FIELD,
            "list.nodes.host": _FIELD,
            **_versions_in("list.nodes"),
        },
    ),
    Presence: (
        membership_pb2.Presence,
        "presence",
        {"presence.name": _FIELD, "presence.version": _FIELD, "presence.running": _REASON},
    ),
    EndRequest: (membership_pb2.EndRequest, "end", {"end.reason": _REASON}),
}


def encode(record: Any) -> Message:
    """The message of a record of `cluster.messages.membership`."""
    message, _, _ = _KINDS[type(record)]
    return message(**fields_of(record))


def decode(kind: type[Record], data: bytes) -> Record:
    """The record of that kind. UsageError names the field that is absent or out of bounds."""
    message, where, bounds = _KINDS[kind]
    return record_of(kind, parse(message, data), where, bounds)
