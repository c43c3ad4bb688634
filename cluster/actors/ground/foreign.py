"""A Ray that somebody else started, to attach to: only where the user asks for it, and never on a stranger's word."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster.api.errors import ClusterError, UnreachableError, UsageError
from cluster.node.ports import listening
from cluster.node.private import READ_FLAGS, check_owner, check_place, others_may_write, read_open
from cluster.node.ray_health import answers

VARIABLE = "RAY_ADDRESS"
AUTO = "auto"
LOCAL = "local"  # Ray's own word for: start one on this machine
NOTE = "ray_current_cluster"
_HOST_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Asked:
    """An address of Ray, and what gave it, so that a message can say which of the two to change."""

    address: str
    by: str  # "--address" or "RAY_ADDRESS"

    def advice(self) -> str:
        """How to start a Ray of our own instead."""
        return f"unset {VARIABLE}" if self.by == VARIABLE else "leave --address out"

    def unreachable(self, error: UnreachableError) -> UnreachableError:
        """What happened to a Ray at this address, and how to do without it."""
        variable = f"{VARIABLE}: " if self.by == VARIABLE else ""
        return UnreachableError(f"{variable}{error}; or {self.advice()} to use one of our own")

    def __str__(self) -> str:
        shown = self.address if self.address.isprintable() else ascii(self.address)
        return f"{self.by}={shown}" if self.by == VARIABLE else f"Ray at {shown}"


def asked_for(address: str | None) -> Asked | None:
    """What `address` (a setting) or RAY_ADDRESS asks for; None where a Ray of our own is to be started."""
    asked = Asked(address, "--address") if address else Asked(os.environ.get(VARIABLE, ""), VARIABLE)
    return None if asked.address in ("", LOCAL) else asked


def running_ray(asked: Asked) -> str:
    """``host:port`` of the Ray that `asked` leads to. UsageError, or UnreachableError if it does not answer."""
    address = _noted(asked) if asked.address == AUTO else asked.address
    check_ray_address(asked, address)
    if not answers(address):
        raise UnreachableError(
            f"{asked}: nothing answers{f' at {address}' if asked.address == AUTO else ''}; start it there with: "
            f"ray start --head; or {asked.advice()} to use one of our own"
        )
    return address


def check_ray_address(asked: Asked, address: str) -> None:
    """UsageError where it cannot be host:port, as of Ray's client (ray://...) or of a note that is damaged."""
    found = _HOST_PORT.fullmatch(address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise UsageError(
            f"{asked}: not host:port of a Ray head, such as 10.0.0.1:6379; or {asked.advice()} to use our own"
        )


def _noted(asked: Asked) -> str:
    """The address that Ray notes for all programs of this machine: believed only where a stranger cannot be behind it.

    Ray opens its own folder to all users, so that the note alone says little: what listens there must be ours, too.
    UnreachableError where there is no note, ClusterError where it cannot be believed.
    """
    path = Path(tempfile.gettempdir()).resolve() / "ray" / NOTE
    advice = f"name the address of a Ray that you trust with --address, or {asked.advice()} to use our own"
    try:
        note, is_ours_alone = _read_note(path)
    except OSError as error:
        raise UnreachableError(f"{asked}: Ray left no note in {path} ({error.strerror}); {advice}") from error
    except ClusterError as error:
        raise ClusterError(f"{asked}: {str(error).partition('; ')[0]}; {advice}") from error
    check_ray_address(asked, note)
    host, _, port = note.rpartition(":")
    if _is_here(host):
        strangers = {uid for uid, _ in listening(int(port))} - {os.geteuid()}
        if strangers:
            raise ClusterError(
                f"{asked}: what listens at {note} belongs to another user (uid {min(strangers)}); {advice}"
            )
    elif not is_ours_alone:
        raise ClusterError(f"{asked}: others may write into {path.parent}, and {host} is not this machine; {advice}")
    return note


def _read_note(path: Path) -> tuple[str, bool]:
    """What is in the note, and whether nobody else can have put it there. ClusterError if it is not ours; OSError."""
    check_place(path.parent)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(folder)
        check_owner(path.parent, status)
        note = read_open(path, os.open(path.name, READ_FLAGS, dir_fd=folder))
    finally:
        os.close(folder)
    return note.decode("ascii", "replace").strip(), not others_may_write(status)


def _is_here(host: str) -> bool:
    """Whether `host` is an address of this machine."""
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.bind(where)
            return True
    except OSError:
        return False
