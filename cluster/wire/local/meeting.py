"""How two processes of one machine find each other: who calls invites, who is called comes.

The invitation travels with the call, which has proved who both are. Nobody else knows its name, and only processes of
the same user are let in. On another machine, or in another network namespace, there is nothing of that name: the
stream then stays with gRPC.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import struct
import sys
from collections.abc import Iterator

import grpc

from cluster.wire.local.frames import Frames
from protos import stage_pb2

CAN_MEET = sys.platform == "linux"  # names without a file are Linux's
NAME_BYTES = 16
TICKET_BYTES = 16
MEET_TIMEOUT_S = 2.0  # who was told that somebody came has not long to wait
_PREFIX = b"\0ggml-cluster-"
_PEER = struct.Struct("3i")  # process, user, group


class Meeting:
    """The side that calls. Close it once it is known whether somebody came."""

    def __init__(self) -> None:
        """OSError where the system has no room for it."""
        self.invitation = stage_pb2.Invitation(
            name=secrets.token_bytes(NAME_BYTES), ticket=secrets.token_bytes(TICKET_BYTES)
        )
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(_address(self.invitation.name))
        self._listening.listen(1)

    @classmethod
    def offer(cls) -> Meeting | None:
        """None where nobody could come."""
        if not CAN_MEET:
            return None
        with contextlib.suppress(OSError):
            return cls()
        return None

    def accept(self) -> Frames | None:
        """Who came; None where it is somebody else, or nobody in time."""
        self._listening.settimeout(MEET_TIMEOUT_S)
        try:
            came, _ = self._listening.accept()
        except OSError:
            return None
        try:
            came.settimeout(MEET_TIMEOUT_S)
            if _is_ours(came) and hmac.compare_digest(
                came.recv(TICKET_BYTES, socket.MSG_WAITALL), self.invitation.ticket
            ):
                return Frames(came)
        except OSError:
            pass
        came.close()
        return None

    def close(self) -> None:
        self._listening.close()


def come_to(invitation: stage_pb2.Invitation) -> Frames | None:
    """The side that is called; None where it is not invited, there is nobody, or it is not one of ours."""
    name, ticket = invitation.name, invitation.ticket
    if not CAN_MEET or len(name) != NAME_BYTES or len(ticket) != TICKET_BYTES:
        return None
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(MEET_TIMEOUT_S)
        connected.connect(_address(name))
        if _is_ours(connected):
            connected.sendall(ticket)
            return Frames(connected)
    except OSError:
        pass
    connected.close()
    return None


@contextlib.contextmanager
def coming_to(invitation: stage_pb2.Invitation, context: grpc.ServicerContext) -> Iterator[Frames | None]:
    """The way beside a call, which lasts as long as that, if it invites and both are on one machine."""
    frames = come_to(invitation)
    if frames is None:
        yield None
        return
    if not context.add_callback(frames.close):
        frames.close()  # gone already
    try:
        yield frames
    finally:
        frames.free()


def _address(name: bytes) -> bytes:
    return _PREFIX + name.hex().encode()


def _is_ours(connected: socket.socket) -> bool:
    _, user, _ = _PEER.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return bool(user == os.geteuid())
