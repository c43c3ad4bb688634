"""A machine joins over real TLS, and whatever keeps it out is said in one line."""

from __future__ import annotations

import random
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import (
    CapacityError,
    ClusterError,
    HandshakeError,
    UnauthenticatedError,
    UnreachableError,
    UsageError,
)
from cluster.membership import joining, returning
from cluster.membership.joining import join
from cluster.membership.preflight import check_tls, own_identity
from cluster.membership.registry_file import open_registry, read_registry
from cluster.membership.returning import follow_head, members_of, register, renew_if_due
from cluster.membership.versions import this_version
from cluster.messages.membership import Admission, JoinRequest, NodeState
from cluster.node.home import Home, read_home, write_home
from cluster.node.secret import read_secret
from cluster.node.state import state_folder, state_path
from cluster.trust.authority import Authority
from cluster.trust.certificate import read_certificate
from cluster.trust.identity import write_identity
from cluster.trust.join_string import JoinString
from cluster.trust.node_key import new_key, signing_request
from cluster.trust.token_file import open_tokens
from cluster.wire.membership.door import DoorServer
from tests.fakes.head import SECRET, FakeHead, running_head


class NoDoor:
    """A DoorBackend that nobody is to speak to."""

    def join(self, request: JoinRequest, peer: str, admit: Callable[[], None]) -> Admission:
        raise AssertionError("a join string came")


@pytest.fixture
def head(tmp_path: Path) -> Iterator[FakeHead]:
    with running_head(tmp_path / "head") as running:
        yield running


def joined(head: FakeHead, folder: Path, name: str = "node-2", last: int = 2) -> Home:
    return join(folder, head.address, head.token(), name, head.beside(last))


def test_a_machine_joins_and_takes_part(head: FakeHead, tmp_path: Path) -> None:
    home = joined(head, tmp_path / "node")
    assert read_home(tmp_path / "node") == home
    assert home.record is not None
    assert (home.record.name, home.record.host, home.record.head_host) == ("node-2", head.beside(2), head.home.host)
    assert home.record.cluster_id == head.authority.cluster_id
    assert stat.S_IMODE((home.identity_folder / "node.key").stat().st_mode) == 0o600
    grant = register(home)
    assert grant.ray_token == "token"
    assert read_secret(home.secret_file) == SECRET
    with members_of(home) as members:
        assert members.confirm(5).summary == "node-2: 4 cores"
        (node,) = members.nodes().nodes
        assert (node.name, node.is_alive, node.state, node.versions) == (
            "node-2",
            True,
            NodeState.MEMBER,
            this_version(),
        )
        members.leave("done")
        (node,) = members.nodes().nodes
        assert node.state is NodeState.LEFT
    register(home)  # who left comes back without a token
    assert read_registry(head.home.folder).all[0].state is NodeState.MEMBER


def test_without_an_address_a_node_has_the_one_it_reaches_the_head_from(head: FakeHead, tmp_path: Path) -> None:
    home = join(tmp_path / "node", head.address, head.token(), "node-2")
    assert home.host == "127.0.0.1"


def test_the_hash_of_another_authority_is_not_believed(head: FakeHead, tmp_path: Path) -> None:
    token = replace(head.token(), ca_hash=Authority.new("abcdefgh23", time.time()).hash)
    with pytest.raises(UnauthenticatedError, match="another cluster answers there"):
        join(tmp_path / "node", head.address, token, "node-2", head.beside(2))
    assert not (tmp_path / "node").exists()


def test_somebody_between_with_an_authority_of_his_own_learns_no_secret(head: FakeHead, tmp_path: Path) -> None:
    with (
        running_head(tmp_path / "other") as between,
        pytest.raises(UnauthenticatedError, match="or somebody between"),
    ):
        join(tmp_path / "node", between.address, head.token(), "node-2", between.beside(2))


def test_somebody_between_who_shows_our_authority_has_no_certificate_of_it(tmp_path: Path) -> None:
    """He sends his own certificate, and ours of the authority behind it."""
    with running_head(tmp_path / "head") as head, running_head(tmp_path / "other") as between:
        identity = between.authority.head_identity("node-1", [between.home.host], time.time())
        shown = replace(identity, ca_pem=head.authority.certificate_pem)
        server = DoorServer(NoDoor(), lambda: shown)
        address = server.start(between.home.host, 0)
        try:
            with pytest.raises(ClusterError, match="another cluster's authority signed"):
                join(tmp_path / "node", address, head.token(), "node-2", between.beside(2))
        finally:
            server.stop()


def test_a_node_is_no_head(head: FakeHead, tmp_path: Path) -> None:
    """A member that lets machines join learns no join string."""
    home = joined(head, tmp_path / "node")

    server = DoorServer(NoDoor(), lambda: own_identity(home))
    address = server.start(head.beside(9), head.ports.join)
    try:
        with pytest.raises(UnauthenticatedError, match="not the head"):
            join(tmp_path / "third", address, head.token(), "node-3", head.beside(3))
    finally:
        server.stop()


@pytest.mark.parametrize("what", ["nobody", "silence", "plaintext", "garbage"])
def test_what_is_no_door_is_named_in_time(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.membership.meeting.meet.__defaults__", (0.5,))
    token = JoinString("aaaaaa", "a" * 26, "a" * 32)
    with socket.create_server((f"127.9.{random.randrange(256)}.1", 0)) as listener:
        host, port = listener.getsockname()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if what != "silence":
                    connection.sendall(b"SSH-2.0-x\r\n" if what == "plaintext" else bytes(random.randbytes(100)))
                connection.recv(10000)
                time.sleep(1 if what == "silence" else 0)

        if what == "nobody":
            listener.close()
        else:
            threading.Thread(target=serve, daemon=True).start()
        began_s = time.monotonic()
        with pytest.raises(UnreachableError, match="refused" if what == "nobody" else "no answer|not the door"):
            join(tmp_path / "node", f"{host}:{min(port, 60000)}" if what == "nobody" else f"{host}:{port}", token, "n")
        assert time.monotonic() - began_s < 5


def test_a_token_that_ended_is_told_so(head: FakeHead, tmp_path: Path) -> None:
    token = head.token(ttl_s=1)
    time.sleep(1.1)
    with pytest.raises(UnauthenticatedError, match="has expired; on the head, run: cluster token create"):
        join(tmp_path / "node", head.address, token, "node-2", head.beside(2))


def test_a_token_admits_one_machine_unless_it_was_made_for_more(head: FakeHead, tmp_path: Path) -> None:
    token = head.token()
    join(tmp_path / "node", head.address, token, "node-2", head.beside(2))
    # The same machine again, whose answer may have been lost, is the same use.
    join(tmp_path / "node", head.address, token, "node-2", head.beside(2))
    with pytest.raises(UnauthenticatedError, match="has admitted the 1 machines"):
        join(tmp_path / "other", head.address, token, "node-3", head.beside(3))


def test_a_revoked_token_and_a_wrong_secret_are_told_alike(head: FakeHead, tmp_path: Path) -> None:
    token = head.token()
    said = set()
    with open_tokens(head.home.folder) as tokens:
        tokens.revoke(token.id)
    for brought in (token, replace(head.token(), secret="a" * 26)):
        with pytest.raises(UnauthenticatedError) as raised:
            join(tmp_path / "node", head.address, brought, "node-2", head.beside(2))
        said.add(str(raised.value))
        assert brought.secret not in str(raised.value)
    assert len(said) == 1


@pytest.mark.parametrize("field", ["python", "ray", "llama", "program"])
def test_a_version_that_differs_is_named_with_both_values(
    head: FakeHead, tmp_path: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = head.token()
    other = replace(this_version(), **{field: "0.0.1"})
    with monkeypatch.context() as patched:
        patched.setattr(joining, "this_version", lambda: other)
        with pytest.raises(
            HandshakeError, match=rf"is 0\.0\.1 here and .*{getattr(this_version(), field)}.* on the head"
        ):
            join(tmp_path / "node", head.address, token, "node-2", head.beside(2))
    join(tmp_path / "node", head.address, token, "node-2", head.beside(2))  # the token was not used up by it


def test_a_name_belongs_to_whoever_lives_by_it(head: FakeHead, tmp_path: Path) -> None:
    joined(head, tmp_path / "node")
    head.cluster.living.add("node-2")
    with pytest.raises(UsageError, match=r"node-2 is alive at 127\..*--name"):
        joined(head, tmp_path / "other", last=3)
    with pytest.raises(UsageError, match="node-1 is alive"):
        joined(head, tmp_path / "other", "node-1", last=3)
    joined(head, tmp_path / "node")  # the same one, with its own key
    head.cluster.living.discard("node-2")
    other = joined(head, tmp_path / "other", last=3)
    register(other)
    with pytest.raises(UnauthenticatedError, match="its certificate was replaced"):
        register(read_home(tmp_path / "node"))


def test_a_copied_home_cannot_take_part_beside_its_original(head: FakeHead, tmp_path: Path) -> None:
    home = joined(head, tmp_path / "node")
    register(home)
    head.cluster.living.add("node-2")
    register(home)  # itself, again
    assert home.record is not None
    copy = write_home(home.folder, replace(home.record, host="127.0.0.1"))
    with pytest.raises(UsageError, match="this node is alive at"):
        register(copy)


def test_a_removed_node_needs_a_new_token(head: FakeHead, tmp_path: Path) -> None:
    token = head.token()
    home = join(tmp_path / "node", head.address, token, "node-2", head.beside(2))
    with open_registry(head.home.folder) as registry:
        registry.remove("node-2")
    with pytest.raises(UnauthenticatedError, match="removed this node"):
        register(home)
    with pytest.raises(UnauthenticatedError, match="has admitted"):
        join(tmp_path / "node", head.address, token, "node-2", head.beside(2))
    register(joined(head, tmp_path / "node"))


def test_an_address_that_the_head_cannot_reach_is_told(head: FakeHead, tmp_path: Path) -> None:
    token = head.token()
    with pytest.raises(UsageError, match="not one of this machine"):
        join(tmp_path / "node", head.address, token, "node-2", "10.255.255.1")
    with pytest.raises(UsageError, match="head's own"):
        join(tmp_path / "node", head.address, token, "node-2", head.home.host)
    with pytest.raises(UsageError, match="different families"):
        join(tmp_path / "node", head.address, token, "node-2", "::1")
    join(tmp_path / "node", head.address, token, "node-2", head.beside(2))


def test_another_program_behind_the_address_is_no_node(
    head: FakeHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = joining.answering
    monkeypatch.setattr(joining, "answering", lambda host, port, nonce: real(host, port, "1" * 32))
    with pytest.raises(UnreachableError, match="another program answers there"):
        joined(head, tmp_path / "node")
    monkeypatch.setattr(joining, "answering", lambda host, port, nonce: real(head.beside(7), port, nonce))
    with pytest.raises(UnreachableError, match=r"cannot reach this machine at .*: Connection refused; open"):
        joined(head, tmp_path / "node")
    assert read_registry(head.home.folder).all == ()


def test_two_cluster_joins_on_one_machine_are_told_apart(head: FakeHead, tmp_path: Path) -> None:
    with (
        socket.create_server((head.beside(2), head.ports.node)),
        pytest.raises(UsageError, match="cluster join runs on this machine already"),
    ):
        joined(head, tmp_path / "node")


def test_a_head_joins_neither_itself_nor_another(head: FakeHead, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the head of that cluster"):
        joined(head, head.home.folder)
    with running_head(tmp_path / "other") as other, pytest.raises(UsageError, match="end that first: cluster down"):
        joined(other, head.home.folder)


def test_a_node_that_lives_elsewhere_stays_there_and_a_dead_membership_is_replaced(
    head: FakeHead, tmp_path: Path
) -> None:
    with running_head(tmp_path / "other") as other:
        joined(other, tmp_path / "node")
        other.cluster.living.add("node-2")
        with pytest.raises(UsageError, match=rf"cluster {other.authority.cluster_id}.*cluster leave"):
            joined(head, tmp_path / "node")
    register(joined(head, tmp_path / "node"))


def test_what_lies_in_a_home_never_keeps_a_machine_out(head: FakeHead, tmp_path: Path) -> None:
    home = joined(head, tmp_path / "node")
    for path in (home.folder / "node.json", home.identity_folder / "node.key", home.identity_folder / "node.crt"):
        path.write_bytes(b"damaged")
        register(joined(head, tmp_path / "node"))


def test_a_certificate_is_renewed_when_it_is_old_or_for_another_address(
    head: FakeHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = joined(head, tmp_path / "node")
    before = (home.identity_folder / "node.crt").read_bytes()
    assert renew_if_due(home, head.beside(2)) == home
    assert (home.identity_folder / "node.crt").read_bytes() == before
    moved = renew_if_due(home, head.beside(4))
    assert moved.host == head.beside(4)
    assert head.beside(4) in read_certificate((home.identity_folder / "node.crt").read_bytes()).hosts
    register(moved)
    assert read_registry(head.home.folder).all[0].host == head.beside(4)
    monkeypatch.setattr(returning, "is_due", lambda cert, now_s: True)
    register(renew_if_due(moved, head.beside(4)))
    (home.identity_folder / "node.crt").write_bytes(before)
    with pytest.raises(ClusterError, match="and not"):
        register(moved)


def test_an_attendant_renews_while_it_runs(head: FakeHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = joined(head, tmp_path / "node")
    before = (home.identity_folder / "node.key").read_bytes()
    monkeypatch.setattr(returning, "is_due", lambda cert, now_s: True)
    with socket.create_server((home.host, head.ports.node)):
        register(renew_if_due(home, home.host))
    assert (home.identity_folder / "node.key").read_bytes() == before


def test_registering_renews_on_the_way_and_so_does_the_head(head: FakeHead, tmp_path: Path) -> None:
    """Both have certificates of which two thirds are over, and the head serves by the new one at once."""
    home = joined(head, tmp_path / "node")
    old_s = time.time() - 300 * 86400
    own = own_identity(home)
    cert_pem = head.authority.sign(signing_request(own.key_pem, "node-2"), "node-2", [home.host], old_s)
    with open_registry(head.home.folder) as registry:
        registry.join(read_certificate(cert_pem), home.host, this_version(), old_s)
    write_identity(home.identity_folder, replace(own, cert_pem=cert_pem))
    write_identity(head.home.identity_folder, head.authority.head_identity("node-1", [head.home.host], old_s))
    register(home)
    for folder in (home.identity_folder, head.home.identity_folder):
        assert read_certificate((folder / "node.crt").read_bytes()).begin_s > time.time() - 2 * 86400
    assert read_certificate((head.home.identity_folder / "node.crt").read_bytes()).is_head
    register(home)


def test_a_cluster_of_this_machine_alone_keeps_its_secrets(
    head: FakeHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = state_folder()
    state_path().write_text("{}")
    with pytest.raises(UsageError, match="end that first: cluster down"):
        joined(head, folder)
    state_path().unlink()
    joined(head, folder)


def test_a_node_follows_its_head_to_another_address_and_nobody_else(tmp_path: Path) -> None:
    with running_head(tmp_path / "head") as head:
        home = joined(head, tmp_path / "node")
    with running_head(tmp_path / "other") as other, pytest.raises(UnauthenticatedError, match="another cluster"):
        follow_head(home, other.address)
    with running_head(tmp_path / "head") as moved:  # at another address and other ports
        with pytest.raises(UnreachableError):
            register(home)
        home = follow_head(home, moved.address)
        register(home)
        assert read_home(home.folder) == home


def test_a_machine_whose_answer_was_lost_joins_by_the_same_string(
    head: FakeHead, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = head.token()

    def lost(*_: object) -> None:
        raise UnreachableError("lost")

    with monkeypatch.context() as patched, pytest.raises(UnreachableError):
        patched.setattr(joining, "check_certificate", lost)
        join(tmp_path / "node", head.address, token, "node-2", head.beside(2))
    register(join(tmp_path / "node", head.address, token, "node-2", head.beside(2)))
    assert not (tmp_path / "node" / "identity" / "next.key").exists()


def test_a_certificate_that_ended_is_told_before_anything_is_asked(head: FakeHead, tmp_path: Path) -> None:
    home = joined(head, tmp_path / "node")
    long_ago_s = time.time() - 400 * 86400
    key_pem = new_key()
    cert_pem = head.authority.sign(signing_request(key_pem, "node-2"), "node-2", [home.host], long_ago_s)
    write_identity(home.identity_folder, replace(own_identity(home), cert_pem=cert_pem, key_pem=key_pem))
    with pytest.raises(ClusterError, match=r"expired at .*cluster token create"):
        register(home)
    with pytest.raises(UnauthenticatedError, match="does not believe this node"):
        check_tls(home, head.home.host, head.ports.members, f"{head.authority.cluster_id}.ggml-cluster")
    register(joined(head, tmp_path / "node"))


def test_who_fails_too_often_costs_nothing_more(
    head: FakeHead, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(head.token(), secret="a" * 26)
    for _ in range(10):
        with pytest.raises(UnauthenticatedError):
            join(tmp_path / "node", head.address, wrong, "node-2", head.beside(2))
    for _ in range(5):
        with pytest.raises(CapacityError, match="wait for one"):
            join(tmp_path / "node", head.address, head.token(), "node-2", head.beside(2))
    lines = [record.getMessage() for record in caplog.records if "could not join" in record.getMessage()]
    assert len(lines) == 10
    assert not any(wrong.secret in line for line in lines)


def test_many_join_at_once(head: FakeHead, tmp_path: Path) -> None:
    token = head.token(uses=8)
    failed: list[ClusterError] = []

    def one(number: int) -> None:
        try:
            register(join(tmp_path / f"{number}", head.address, token, f"node-{number}", head.beside(number)))
        except ClusterError as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(read_registry(head.home.folder).all) == 8


def test_confirming_names_what_is_missing(head: FakeHead, tmp_path: Path) -> None:
    home = joined(head, tmp_path / "node")
    head.cluster.useless.add("node-2")
    with members_of(home) as members, pytest.raises(UnreachableError, match="agent did not answer"):
        members.confirm(0.2)


def test_a_node_that_the_others_cannot_do_without_stays(head: FakeHead, tmp_path: Path) -> None:
    home = joined(head, tmp_path / "node")
    register(home)
    head.cluster.needed.add("node-2")
    with members_of(home) as members:
        with pytest.raises(CapacityError, match="does not fit without node-2"):
            members.leave("cluster leave")
        assert [node.state for node in members.nodes().nodes] == [NodeState.MEMBER]
        head.cluster.needed.clear()
        members.leave("cluster leave")
        assert [node.state for node in members.nodes().nodes] == [NodeState.LEFT]
