"""Joining, from host to host, without Ray: who listens in or stands between learns nothing, and keeps nobody out."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.node.port_plan import PortPlan
from cluster.trust.authority import Authority
from cluster.trust.identity import head_server_name
from cluster.trust.join_string import JoinString
from cluster.trust.kept_authority import read_authority
from tests.net import false_head, lone_head, mtls_probe, portscan
from tests.net.hosts import PROJECT, Host, Hosts
from tests.net.listeners import listeners
from tests.net.running import Running
from tests.net.sniffer import Sniffer

PLAN = PortPlan()
JOIN = """
import sys
from pathlib import Path
from cluster.api.errors import ClusterError
from cluster.membership.joining import join
from cluster.membership.returning import register
from cluster.trust.join_string import JoinString
try:
    home = join(Path("/tmp/state/ggml-cluster"), sys.argv[1], JoinString.of_text(sys.argv[2]), sys.argv[3])
    print("joined as", register(home).first_port and home.record.name)
except ClusterError as error:
    print(type(error).__name__, error)
"""
ATTEND = """
import sys
from pathlib import Path
from cluster.membership.serving import Attendant
from cluster.node.home import read_home
attendant = Attendant(read_home(Path("/tmp/state/ggml-cluster")), print, lambda: "nothing")
print("attends at", attendant.start(), flush=True)
sys.stdin.read()
"""


# Over many connections, calls that never send their message, again and again.
SILENT = """
import sys, threading
from pathlib import Path
import grpc
address, name = sys.argv[1:]
def never():
    threading.Event().wait()
    yield b""
def attack():
    credentials = grpc.ssl_channel_credentials(Path("ca").read_bytes())
    options = [("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1)]
    while True:
        with grpc.secure_channel(address, credentials, options) as channel:
            join = channel.stream_unary("/ggml_cluster.v1.Door/Join")
            for call in [join.future(never(), timeout=60) for _ in range(16)]:
                print(call.exception() and call.code().name, flush=True)
for _ in range(20):
    threading.Thread(target=attack).start()
"""


@dataclass
class Doors:
    """A head on host one."""

    hosts: Hosts
    running: Running
    num_tokens: int = 0

    def token(self) -> str:
        self.running.say("")
        line = self.running.wait_for(f"token-{self.num_tokens} ", 10)
        self.num_tokens += 1
        return line.split()[1]

    def join(self, host: Host, token: str, name: str | None = None, address: str = "10.77.0.1") -> str:
        """What came of it, in a line."""
        done = host.python("-c", JOIN, f"{address}:{PLAN.join}", token, name or host.name)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @property
    def authority(self) -> Authority:
        return read_authority(self.hosts[1].state)

    @property
    def secret(self) -> str:
        return self.running.wait_for("secret ", 1).split()[1]


@pytest.fixture(scope="module")
def doors(hosts: Hosts) -> Iterator[Doors]:
    arguments = (sys.executable, lone_head.__file__, hosts[1].address, str(PLAN.first))
    running = hosts[1].start(*arguments, PYTHONPATH=str(PROJECT))
    running.wait_for("open", 30)
    yield Doors(hosts, running)
    running.end()


def test_joining_is_not_heard(doors: Doors, tmp_path: Path) -> None:
    two, token = doors.hosts[2], doors.token()
    with Sniffer(doors.hosts, tmp_path / "join.pcap") as sniffer:
        assert doors.join(two, token) == "joined as two"
    key = (two.state / "identity" / "node.key").read_bytes().splitlines()[1:-1]
    secret = JoinString.of_text(token).secret
    unheard = [*key, secret.encode(), doors.secret.encode(), bytes.fromhex(doors.secret)]
    assert {needle: places for needle, places in sniffer.find(unheard).items() if places} == {}
    # The names of those who meet are no secret: that they are found shows that the search is one.
    assert sniffer.find([doors.authority.cluster_id.encode()])[doors.authority.cluster_id.encode()]


def kept(host: Host) -> dict[Path, bytes]:
    """All that it keeps of a cluster."""
    return {path: path.read_bytes() for path in host.state.rglob("*") if path.is_file()}


@pytest.mark.parametrize("shown", ["its own authority", "the real authority's certificate"])
def test_a_man_in_the_middle_learns_nothing(doors: Doors, shown: str) -> None:
    """All that he can know of the cluster is what its head says to everybody."""
    enemy, three = doors.hosts[4], doors.hosts[3]
    own = Authority.new(doors.authority.cluster_id, time.time())
    identity = own.head_identity("one", [enemy.address], time.time())
    chained = own if shown == "its own authority" else doors.authority
    (enemy.home / "chain").write_bytes(identity.cert_pem + chained.certificate_pem)
    (enemy.home / "key").write_bytes(identity.key_pem)
    lying = enemy.start("python", "-I", false_head.__file__, enemy.address, str(PLAN.join), "chain", "key")
    lying.wait_for("listens", 10)
    token, before = doors.token(), kept(three)
    said = doors.join(three, token, address=enemy.address)
    assert "another" in said, said
    lying.wait_for("heard", 10)
    lying.end()
    heard = b"".join(map(bytes.fromhex, re.findall("heard ([0-9a-f]*)", lying.out)))
    assert JoinString.of_text(token).secret.encode() not in heard
    assert kept(three) == before
    assert doors.join(three, token) == "joined as three", "the string was not used up"


def test_who_cannot_be_reached_does_not_join(doors: Doors) -> None:
    """Its own connections come through: only the head's call back tells."""
    three, token = doors.hosts[3], doors.token()
    syn = ("INPUT", "-p", "tcp", "--syn", "-s", doors.hosts[1].address, "-j", "DROP")
    three.iptables("filter", "-I", *syn)
    try:
        said = doors.join(three, token, "apart")
    finally:
        three.iptables("filter", "-D", *syn)
    assert "no answer within 5 s" in said, said
    assert doors.join(three, token, "apart") == "joined as apart", "the string was not used up"


@pytest.fixture
def attending(doors: Doors) -> Iterator[Host]:
    """Host two is a node, and listens."""
    two = doors.hosts[2]
    assert doors.join(two, doors.token()) == "joined as two"
    running = two.start(sys.executable, "-c", ATTEND)
    running.wait_for("attends at", 20)
    yield two
    running.end()


def probed(enemy: Host, host: Host, port: int, *pair: str) -> dict[str, object]:
    done = enemy.run("python", "-I", mtls_probe.__file__, host.address, str(port), "ca", *pair)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_members_are_spoken_to_and_nobody_else(doors: Doors, attending: Host) -> None:
    enemy, ports = doors.hosts[4], [(doors.hosts[1], PLAN.members), (attending, PLAN.node)]

    def arm(authority: Authority, now_s: float) -> None:
        identity = authority.head_identity("four", [enemy.address], now_s)
        for name, pem in (
            ("ca", doors.authority.certificate_pem),
            ("crt", identity.cert_pem),
            ("key", identity.key_pem),
        ):
            (enemy.home / name).write_bytes(pem)

    arm(doors.authority, time.time())
    assert all(probed(enemy, *port, "crt", "key")["speaks"] for port in ports)
    assert not any(probed(enemy, *port)["speaks"] for port in ports), "without a certificate"
    arm(doors.authority, time.time() - 3 * 365 * 86400)
    assert not any(probed(enemy, *port, "crt", "key")["speaks"] for port in ports), "with one that has ended"
    arm(Authority.new(doors.authority.cluster_id, time.time()), time.time())
    assert not any(probed(enemy, *port, "crt", "key")["speaks"] for port in ports), "with that of another cluster"


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_hostile_connections_keep_nobody_out(doors: Doors, attending: Host, count: int) -> None:
    head, enemy = doors.hosts[1], doors.hosts[4]
    ours = [(head, PLAN.join), (head, PLAN.members), (attending, PLAN.node)]
    targets = [f"{host.address}:{port}" for host, port in ours]
    scanning = enemy.start("python", "-I", portscan.__file__, str(count), *targets)
    assert doors.join(doors.hosts[3], doors.token()) == "joined as three", "meanwhile"
    assert scanning.wait(600) == 0, scanning.err
    assert all(kinds["noise"]["connected"] == count // len(kinds) for kinds in json.loads(scanning.out).values())
    assert doors.join(doors.hosts[3], doors.token()) == "joined as three"
    for host, port in ours:
        assert port in {each.port for each in listeners(host.machine.pid, host.pids())}


@pytest.mark.slow
def test_silent_calls_keep_nobody_out(doors: Doors) -> None:
    """Each holds a place and a thread of the door, for as long as it may."""
    enemy = doors.hosts[4]
    (enemy.home / "ca").write_bytes(doors.authority.certificate_pem)
    address, name = f"{doors.hosts[1].address}:{PLAN.join}", head_server_name(doors.authority.cluster_id)
    calling = enemy.start(sys.executable, "-c", SILENT, address, name)
    calling.wait_for("UNAVAILABLE", 30)
    said = {doors.join(doors.hosts[3], doors.token()) for _ in range(5)}
    calling.end()
    assert said == {"joined as three"}
