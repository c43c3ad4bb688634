"""Who has no right to join does not, is told why in one line, and nothing has changed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from cluster.node.port_plan import PortPlan
from cluster.trust.authority import Authority
from cluster.trust.join_string import JoinString
from tests.net import false_head
from tests.net.hosts import Host
from tests.net.running import Running
from tests.net.together import Together

JOIN_PORT = PortPlan().join
JOIN_TIMEOUT_S = 60.0


def new_token(together: Together, *arguments: str) -> JoinString:
    done = together.head.run("cluster", "token", "create", *arguments)
    assert done.returncode == 0, done.stderr
    return JoinString.of_text(done.stdout.split()[-1])


def members_of(together: Together) -> list[str]:
    """The names of those who were ever admitted."""
    read = json.loads((together.head.state / "nodes.json").read_text())
    return sorted(json.dumps(node["name"]) for node in read["nodes"])


def files(host: Host) -> set[Path]:
    """What it keeps, but for the key of its own that it has made for the next try."""
    return {path for path in host.state.rglob("*") if path.is_file() and path.name != "next.key"}


def refused(
    together: Together, token: str, host: Host, address: str = "one", *arguments: str, **environment: str
) -> str:
    """The one line that `cluster join` says; nothing is left of the attempt."""
    members, kept = members_of(together), files(host)
    command = ("cluster", "join", f"{address}:{JOIN_PORT}", "--token", token, *arguments)
    done = host.run(*command, timeout_s=JOIN_TIMEOUT_S, **environment)
    assert done.returncode != 0, done
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert host.pids() == [], "something of it goes on"
    assert files(host) == kept
    assert members_of(together) == members
    assert token.split(".")[2] not in done.stderr
    return said[0]


@pytest.fixture
def stranger(three_hosts_up: Together) -> Host:
    return three_hosts_up.hosts[4]


def test_a_wrong_secret(three_hosts_up: Together, stranger: Host) -> None:
    right = new_token(three_hosts_up)
    wrong = JoinString(right.id, "a" * len(right.secret), right.ca_hash)
    said = refused(three_hosts_up, wrong.text, stranger)
    assert "token" in said or "join string" in said
    unknown = JoinString("a" * len(right.id), right.secret, right.ca_hash)
    # Whether there is a token of that id is nothing for strangers.
    assert refused(three_hosts_up, unknown.text, stranger).replace(unknown.id, right.id) == said


def test_a_used_one(three_hosts_up: Together, stranger: Host) -> None:
    token = three_hosts_up.join_line.split()[-1]
    assert "has admitted" in refused(three_hosts_up, token, stranger)


def test_an_expired_one(three_hosts_up: Together, stranger: Host) -> None:
    token = new_token(three_hosts_up, "--ttl", "1s")
    time.sleep(2)
    assert "expired" in refused(three_hosts_up, token.text, stranger)


def test_a_revoked_one(three_hosts_up: Together, stranger: Host) -> None:
    token = new_token(three_hosts_up)
    done = three_hosts_up.head.run("cluster", "token", "revoke", token.id)
    assert done.returncode == 0, done.stderr
    assert "token" in refused(three_hosts_up, token.text, stranger)


def test_another_version_of_ray(three_hosts_up: Together, stranger: Host) -> None:
    """Both versions are named, and nothing of the string is used up."""
    older = stranger.disk / "older" / "ray-2.1.0.dist-info" / "METADATA"
    older.parent.mkdir(parents=True)
    older.write_text("Metadata-Version: 2.1\nName: ray\nVersion: 2.1.0\n")
    token = new_token(three_hosts_up)
    said = refused(three_hosts_up, token.text, stranger, PYTHONPATH="/tmp/older")
    assert "2.1.0" in said
    assert ray.__version__ in said
    assert f"{token.id} " in three_hosts_up.head.run("cluster", "token", "ls").stdout


def test_the_name_of_a_living_node(three_hosts_up: Together, stranger: Host) -> None:
    token = new_token(three_hosts_up)
    said = refused(three_hosts_up, token.text, stranger, "one", "--name", "two")
    assert "two" in said
    assert "--name" in said


def test_nobody_at_the_address(three_hosts_up: Together, stranger: Host) -> None:
    token = new_token(three_hosts_up)
    began_s = time.monotonic()
    refused(three_hosts_up, token.text, stranger, "five")
    assert time.monotonic() - began_s < 20


def lying(together: Together, chain: bytes, key: bytes) -> Running:
    """A false head on the enemy's host."""
    enemy = together.hosts[5]
    (enemy.home / "chain").write_bytes(chain)
    (enemy.home / "key").write_bytes(key)
    running = enemy.start("python", "-I", false_head.__file__, enemy.address, str(JOIN_PORT), "chain", "key")
    running.wait_for("listens", 10)
    return running


@pytest.fixture(params=["its own authority", "the real authority's certificate"])
def liar(request: pytest.FixtureRequest, three_hosts_up: Together) -> Iterator[Running]:
    """A man in the middle: all that he can know of the cluster is what its head says to everybody."""
    real = (three_hosts_up.head.state / "authority" / "ca.crt").read_bytes()
    authority = Authority.new("abcdefghij", time.time())
    identity = authority.head_identity("one", [three_hosts_up.hosts[5].address], time.time())
    shown = authority.certificate_pem if request.param == "its own authority" else real
    running = lying(three_hosts_up, identity.cert_pem + shown, identity.key_pem)
    yield running
    running.end()


def test_a_man_in_the_middle_learns_nothing(three_hosts_up: Together, stranger: Host, liar: Running) -> None:
    token = new_token(three_hosts_up)
    refused(three_hosts_up, token.text, stranger, "five")
    heard = b"".join(
        bytes.fromhex(line.partition(" ")[2]) for line in liar.out.splitlines() if line.startswith("heard")
    )
    assert token.secret.encode() not in heard
    assert token.id.encode() not in heard
