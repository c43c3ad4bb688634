"""Who has joined the cluster: what the head knows of every node, without files or clocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cluster.api.errors import CapacityError, UnauthenticatedError, UsageError
from cluster.messages.membership import NodeState, Versions
from cluster.trust.certificate import Certificate

MAX_NODES = 1024
SEEN_S = 60.0  # to which a member's last call is remembered
REJOIN = "join again with a new join string: cluster token create, on the head"


@dataclass(frozen=True, slots=True)
class Member:
    """One node beside the head. Times are seconds since 1970."""

    name: str
    host: str
    fingerprint: str  # of the newest certificate that it was given
    key_hash: str
    versions: Versions
    joined_s: float
    seen_s: float
    state: NodeState = NodeState.MEMBER
    former_fingerprint: str = ""  # counts until the newest certificate has been shown: its way to the node may fail


class Registry:
    """The members of one cluster, by name. A name is one node: who joins by it takes the place of who had it."""

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._members = {member.name: member for member in members}

    def find(self, name: str) -> Member | None:
        return self._members.get(name)

    @property
    def all(self) -> tuple[Member, ...]:
        """In the order of their names."""
        return tuple(self._members[name] for name in sorted(self._members))

    def join(self, certificate: Certificate, host: str, versions: Versions, now_s: float) -> None:
        """A machine was given this certificate. CapacityError where there are too many nodes."""
        name = certificate.node
        if name not in self._members and len(self._members) >= MAX_NODES:
            self._drop_gone()
            if len(self._members) >= MAX_NODES:
                raise CapacityError(f"nodes: there are {MAX_NODES}; remove one: cluster nodes rm NAME")
        self._members[name] = Member(name, host, certificate.fingerprint, certificate.key_hash, versions, now_s, now_s)

    def renew(self, shown: Certificate, certificate: Certificate, host: str, now_s: float) -> None:
        """A member was given `certificate` in place of the one that it has shown."""
        member = self._members[certificate.node]
        self._members[member.name] = replace(
            member,
            host=host,
            fingerprint=certificate.fingerprint,
            key_hash=certificate.key_hash,
            seen_s=now_s,
            former_fingerprint=shown.fingerprint,
        )

    def see(self, shown: Certificate, now_s: float, versions: Versions | None = None) -> None:
        """A member has called; one that had left is back."""
        member = self._members[shown.node]
        is_newest = shown.fingerprint == member.fingerprint
        seen = replace(
            member,
            versions=versions or member.versions,
            state=NodeState.MEMBER,
            former_fingerprint="" if is_newest else member.former_fingerprint,
        )
        # Members call every few seconds: that alone is not worth to be written down each time.
        if seen != member or not 0 <= now_s - member.seen_s < SEEN_S:
            self._members[member.name] = replace(seen, seen_s=now_s)

    def leave(self, name: str, now_s: float) -> None:
        """A member goes. It may come back with the certificate that it has."""
        self._members[name] = replace(self._members[name], state=NodeState.LEFT, seen_s=now_s)

    def remove(self, name: str) -> None:
        """The node's certificate is worth nothing any more. UsageError if there is none of that name."""
        if name not in self._members:
            raise UsageError(f"node: none is called {name[:64]!r}; see: cluster nodes")
        self._members[name] = replace(self._members[name], state=NodeState.REMOVED)

    def check(self, certificate: Certificate) -> Member:
        """The member whose certificate this is. UnauthenticatedError where it is none any more."""
        name = certificate.node
        member = self._members.get(name)
        if member is None:
            raise UnauthenticatedError(f"{name}: the head knows no such node; {REJOIN}")
        if member.state is NodeState.REMOVED:
            raise UnauthenticatedError(f"{name}: the head has removed this node; {REJOIN}")
        if certificate.fingerprint not in (member.fingerprint, member.former_fingerprint):
            raise UnauthenticatedError(
                f"{name}: its certificate was replaced: another machine has joined by this name, or this one has, "
                f"and uses an old file; {REJOIN}"
            )
        return member

    def _drop_gone(self) -> None:
        """Make room: those that have left or were removed are forgotten."""
        self._members = {name: one for name, one in self._members.items() if one.state is NodeState.MEMBER}
