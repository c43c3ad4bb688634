"""What passes between a cluster's head and machines that join it, are its nodes, or leave. Texts are bounded."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Versions:
    """What a machine would take part with. Set by that machine."""

    program: str  # of this package
    protocol: int
    python: str  # with its last number, which Ray compares too
    ray: str
    llama: str  # of the package that brings libllama
    platform: str  # for people: nodes may differ in it


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Of a machine that is no member yet."""

    token_id: str
    secret: str = field(repr=False)
    request_pem: str  # for a certificate; the key stays where it is
    name: str
    host: str  # the address by which all others are to reach it
    nonce: str  # hexadecimal digits that answer the head at `host`
    versions: Versions


@dataclass(frozen=True, slots=True)
class Admission:
    """The head's answer to a machine that is a member from now on."""

    cert_pem: str
    is_secure: bool  # whether Ray, stages and weights use TLS; joining always does


@dataclass(frozen=True, slots=True)
class RegisterRequest:
    """Of a member that is about to take part."""

    host: str
    versions: Versions


@dataclass(frozen=True, slots=True)
class Grant:
    """What a member needs to take part in the cluster that runs now. All secrets are new with each start of it."""

    gcs_address: str
    ray_token: str = field(repr=False)
    secret: str = field(repr=False)  # hexadecimal digits, as `cluster.node.secret` has them
    client_secret: str = field(repr=False)
    instance: str
    namespace: str
    first_port: int
    is_secure: bool
    versions: Versions  # the head's


@dataclass(frozen=True, slots=True)
class Confirmation:
    """That a node is of use."""

    summary: str  # what it has, as the head sees it; for people


@dataclass(frozen=True, slots=True)
class ConfirmRequest:
    """Of a member whose Ray runs."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class RenewRequest:
    """Of a member whose certificate is old, or whose address has changed."""

    request_pem: str
    host: str
    nonce: str  # as in JoinRequest; asked for only where the address is a new one


@dataclass(frozen=True, slots=True)
class LeaveRequest:
    """Of a member that goes."""

    reason: str


class NodeState(StrEnum):
    """Whether a node may come back as it is: only a member may."""

    MEMBER = "member"
    LEFT = "left"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class ListedNode:
    """One row of what the head knows. Times are seconds since 1970."""

    name: str
    host: str
    state: NodeState
    is_alive: bool
    joined_s: float
    seen_s: float
    versions: Versions


@dataclass(frozen=True, slots=True)
class NodesReply:
    """All nodes that the head knows beside itself, in the order of their names."""

    nodes: tuple[ListedNode, ...]


@dataclass(frozen=True, slots=True)
class Presence:
    """Who answers at a node's port."""

    name: str
    version: str
    running: str  # for people


@dataclass(frozen=True, slots=True)
class EndRequest:
    """Of the head, to a node that is to go."""

    reason: str
