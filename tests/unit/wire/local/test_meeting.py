"""How two processes of one machine meet, and who else cannot."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from cluster.wire.local import meeting
from cluster.wire.local.meeting import CAN_MEET, Meeting, come_to
from protos import stage_pb2
from tests.fakes.wire_backends import no_thread_left

pytestmark = pytest.mark.skipif(not CAN_MEET, reason="sockets that have names without files are Linux's")


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meeting]:
    monkeypatch.setattr(meeting, "MEET_TIMEOUT_S", 0.2)
    with no_thread_left():
        found = Meeting.offer()
        assert found is not None
        yield found
        found.close()


def address_of(invitation: stage_pb2.Invitation) -> bytes:
    return b"\0ggml-cluster-" + invitation.name.hex().encode()


def test_who_is_invited_comes(offered: Meeting) -> None:
    came = come_to(offered.invitation)
    met = offered.accept()
    assert came is not None
    assert met is not None
    came.send(b"hello")
    met.send(b"and you")
    assert (next(met.messages()), next(came.messages())) == (b"hello", b"and you")
    came.free()
    met.free()


def test_nobody_comes(offered: Meeting) -> None:
    assert offered.accept() is None


def test_who_has_no_ticket_is_not_let_in(offered: Meeting) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(address_of(offered.invitation))
        stranger.send(bytes(16))
        assert offered.accept() is None


def test_who_says_nothing_is_not_waited_for(offered: Meeting) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(address_of(offered.invitation))
        assert offered.accept() is None


def test_another_user_is_not_let_in(offered: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as the one who comes, nor as the one who invites."""
    monkeypatch.setattr(meeting.os, "geteuid", lambda: 12345)
    assert come_to(offered.invitation) is None
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(address_of(offered.invitation))
        stranger.send(offered.invitation.ticket)
        assert offered.accept() is None


def test_where_nobody_invites(offered: Meeting) -> None:
    """Also after it is over, as on another machine, where there is nothing of that name."""
    offered.close()
    assert come_to(offered.invitation) is None
    assert come_to(stage_pb2.Invitation()) is None


@pytest.mark.parametrize("name", [b"", bytes(15), bytes(17), b"/" * 4096])
@pytest.mark.parametrize("ticket", [b"", bytes(17)])
def test_what_is_no_invitation(name: bytes, ticket: bytes) -> None:
    assert come_to(stage_pb2.Invitation(name=name, ticket=bytes(16))) is None
    assert come_to(stage_pb2.Invitation(name=bytes(16), ticket=ticket)) is None


def test_many_meet_at_once() -> None:
    """Each with the one it has invited."""
    offers = [Meeting.offer() for _ in range(8)]
    met: dict[int, bytes] = {}

    def visit(place: int, invitation: stage_pb2.Invitation) -> None:
        came = come_to(invitation)
        assert came is not None
        came.send(bytes([place]))
        came.free()

    threads = []
    for place, offer in enumerate(offers):
        assert offer is not None
        threads.append(threading.Thread(target=visit, args=(place, offer.invitation)))
        threads[-1].start()
    for place, offer in enumerate(offers):
        assert offer is not None
        frames = offer.accept()
        assert frames is not None
        met[place] = next(frames.messages())
        frames.free()
        offer.close()
    for thread in threads:
        thread.join()
    assert met == {place: bytes([place]) for place in range(8)}
