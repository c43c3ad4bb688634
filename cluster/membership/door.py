"""The door of a cluster: decides which machines become its nodes, and gives nodes what they need to take part.

Without Ray and without gRPC. Who calls is known from the certificate that the caller has shown, never from a message.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from cluster.api.errors import CapacityError, ClusterError, HandshakeError, UsageError
from cluster.membership.dial_back import NONCE_CHARS, dial_back
from cluster.membership.failures import MAX_PER_MINUTE, Failures
from cluster.membership.registry_file import open_registry, read_registry
from cluster.membership.versions import differences
from cluster.messages.membership import (
    Admission,
    Confirmation,
    ConfirmRequest,
    Grant,
    JoinRequest,
    LeaveRequest,
    ListedNode,
    NodesReply,
    NodeState,
    RegisterRequest,
    RenewRequest,
    Versions,
)
from cluster.node.home import IDENTITY, NodeRecord
from cluster.trust.authority import Authority
from cluster.trust.certificate import Certificate, is_due, key_hash, read_certificate
from cluster.trust.identity import read_identity, write_identity
from cluster.trust.names import check_host, check_node_name
from cluster.trust.node_key import signing_request
from cluster.trust.token_file import open_tokens

MAX_CONFIRM_S = 300.0
LOOK_S = 3600.0  # between two looks at the age of the head's certificate
_log = logging.getLogger(__name__)


class Cluster(Protocol):
    """The cluster that runs behind the door. Methods are called on several threads at once."""

    def living_nodes(self) -> Collection[str]:
        """The names of the nodes that take part now, the head's too."""

    def grant(self, name: str) -> Grant:
        """What the node of that name needs to take part."""

    def confirm(self, name: str, deadline_s: float) -> str:
        """Wait until the node of that name has proved to be of use, and say what it has.

        `deadline_s`: of time.monotonic(). ClusterError that names what is missing.
        """

    def release(self, name: str) -> None:
        """Move what the node of that name computes to others; it takes minutes. ClusterError where that cannot be."""


class DoorService:
    """What the servers of the head ask. Thread-safe. `home` is the head's own."""

    def __init__(
        self,
        home: Path,
        record: NodeRecord,
        authority: Authority,
        versions: Versions,
        cluster: Cluster,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`record` and `versions` are those of the head; `clock` gives seconds since 1970."""
        self._home = home
        self._record = record
        self._authority = authority
        self._versions = versions
        self._cluster = cluster
        self._clock = clock
        self._failures = Failures()
        self._looked_s = 0.0  # at the head's own certificate

    def join(self, request: JoinRequest, peer: str, admit: Callable[[], None]) -> Admission:
        """Make a machine a node. `peer` is the address that it calls from; `admit` is told once it is no stranger.

        ClusterError that says what is wrong, and what to do.
        """
        with self._counted(peer, request.name):
            asked_key = key_hash(request.request_pem.encode())
            user = self._user(asked_key)
            with open_tokens(self._home) as tokens:
                tokens.check(request.token_id, request.secret, user, self._clock())
            admit()
            self._check_versions(request.versions)
            name, host = check_node_name(request.name), self._check_host(request.host)
            self._check_name(name, asked_key)
            dial_back(host, self._record.ports.node, _checked_nonce(request.nonce))
            # It was admitted by the token, and is of use: only now is the token used up.
            certificate_pem = self._sign(request.request_pem, name, host)
            with open_tokens(self._home) as tokens, open_registry(self._home) as registry:
                tokens.redeem(request.token_id, request.secret, user, self._clock())
                registry.join(read_certificate(certificate_pem), host, request.versions, self._clock())
            _log.info("%s joined from %s, as %s", name, peer, host)
            return self._admission(certificate_pem)

    def register(self, caller: Certificate, request: RegisterRequest) -> Grant:
        """What a member needs to take part now. UnauthenticatedError for one that is none any more."""
        host = self._check_host(request.host)
        member = read_registry(self._home).check(caller)
        self._check_versions(request.versions)
        if host not in caller.hosts:
            raise UsageError(f"address: {caller.node}'s certificate is not for {host}; renew it: cluster join")
        if host != member.host and self._is_living(caller.node):
            raise UsageError(
                f"{caller.node}: this node is alive at {member.host}; end it there, or join here by another name: "
                "cluster join HOST:PORT --token TOKEN --name NAME"
            )
        with open_registry(self._home) as registry:
            registry.check(caller)
            registry.see(caller, self._clock(), request.versions)
        self._renew_own()
        return self._cluster.grant(caller.node)

    def confirm(self, caller: Certificate, request: ConfirmRequest) -> Confirmation:
        """Answers when the node is of use. ClusterError that names what is missing."""
        read_registry(self._home).check(caller)
        limit_s = min(max(request.timeout_s, 0.0), MAX_CONFIRM_S)
        summary = self._cluster.confirm(caller.node, time.monotonic() + limit_s)
        with open_registry(self._home) as registry:
            registry.check(caller)
            registry.see(caller, self._clock())
        return Confirmation(summary)

    def renew(self, caller: Certificate, request: RenewRequest) -> Admission:
        """A new certificate for a member, perhaps at another address. Errors as for `join`."""
        host = self._check_host(request.host)
        member = read_registry(self._home).check(caller)
        if host != member.host:
            dial_back(host, self._record.ports.node, _checked_nonce(request.nonce))
        certificate_pem = self._sign(request.request_pem, caller.node, host)
        with open_registry(self._home) as registry:
            registry.check(caller)
            registry.renew(caller, read_certificate(certificate_pem), host, self._clock())
        return self._admission(certificate_pem)

    def leave(self, caller: Certificate, request: LeaveRequest) -> None:
        """A member goes, once others compute what it did, and may come back. CapacityError where they cannot."""
        read_registry(self._home).check(caller)
        self._cluster.release(caller.node)
        with open_registry(self._home) as registry:
            registry.check(caller)
            registry.leave(caller.node, self._clock())
        _log.info("%s left: %a", caller.node, request.reason)

    def nodes(self, caller: Certificate) -> NodesReply:
        """What is known of all nodes."""
        registry = read_registry(self._home)
        if not caller.is_head:
            registry.check(caller)
        living = set(self._cluster.living_nodes())
        return NodesReply(
            tuple(
                ListedNode(
                    member.name,
                    member.host,
                    member.state,
                    member.name in living,
                    member.joined_s,
                    member.seen_s,
                    member.versions,
                )
                for member in registry.all
            )
        )

    @contextmanager
    def _counted(self, peer: str, name: str) -> Iterator[None]:
        """One try from the address `peer`."""
        if self._failures.is_over(peer, time.monotonic()):
            raise CapacityError(f"join: {MAX_PER_MINUTE} tries from {peer} have failed within a minute; wait for one")
        try:
            yield
        except ClusterError as error:
            if self._failures.add(peer, time.monotonic()):
                _log.warning("%.64a could not join from %s: %s", name, peer, error)
            raise

    def _check_versions(self, versions: Versions) -> None:
        found = differences(self._versions, versions)
        if found:
            raise HandshakeError(f"versions: {found[0]}" + (f" (and {len(found) - 1} more)" if found[1:] else ""))

    def _check_host(self, host: str) -> str:
        host, own = check_host(host), self._record.host
        if host == own:
            raise UsageError(f"address: {host} is the head's own; run cluster join on another machine")
        if ipaddress.ip_address(host).is_loopback and not ipaddress.ip_address(own).is_loopback:
            raise UsageError(f"address: {host} is this machine's to itself; give one that others reach it at")
        if ipaddress.ip_address(host).version != ipaddress.ip_address(own).version:
            raise UsageError(
                f"address: {host} and the head's {own} are of different families; give one of the same: "
                "--advertise-address"
            )
        return host

    def _check_name(self, name: str, asked_key: str) -> None:
        """A name belongs to whoever lives by it."""
        known = read_registry(self._home).find(name)
        is_same = known is not None and known.key_hash == asked_key and known.state is not NodeState.REMOVED
        if name == self._record.name or (self._is_living(name) and not is_same):
            where = self._record.host if name == self._record.name else known.host if known else "another address"
            raise UsageError(f"node name: {name} is alive at {where}; give this machine another one: --name NAME")

    def _user(self, asked_key: str) -> str:
        """Who is counted among the users of a token: a machine that asks again is the same, unless it was removed."""
        removed_s = [
            member.joined_s
            for member in read_registry(self._home).all
            if member.key_hash == asked_key and member.state is NodeState.REMOVED
        ]
        return f"{asked_key} after {removed_s[0]}" if removed_s else asked_key

    def _renew_own(self) -> None:
        """The head's own certificate, where it is old. Members call all the time, so this comes in time."""
        folder, name, now_s = self._home / IDENTITY, self._record.name, self._clock()
        if now_s < self._looked_s + LOOK_S:
            return
        self._looked_s = now_s
        identity = read_identity(folder, name, self._authority.cluster_id)
        if not is_due(read_certificate(identity.cert_pem), now_s):
            return
        request_pem = signing_request(identity.key_pem, name)
        cert_pem = self._authority.sign(request_pem, name, [self._record.host], now_s, is_head=True)
        write_identity(folder, replace(identity, cert_pem=cert_pem))
        _log.info("the head's certificate was renewed")

    def _is_living(self, name: str) -> bool:
        return name in self._cluster.living_nodes()

    def _sign(self, request_pem: str, name: str, host: str) -> bytes:
        return self._authority.sign(request_pem.encode(), name, [host], self._clock())

    def _admission(self, certificate_pem: bytes) -> Admission:
        return Admission(certificate_pem.decode("ascii"), self._record.is_secure)


def _checked_nonce(nonce: str) -> str:
    if len(nonce) != NONCE_CHARS or not nonce.isascii() or not nonce.isalnum():
        raise UsageError("nonce: not one of ours; run the same version of ggml-cluster on both ends")
    return nonce
