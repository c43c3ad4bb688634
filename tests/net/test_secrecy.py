"""Who hears every packet between the hosts learns neither what is asked and said, nor a secret."""

from __future__ import annotations

import re
from pathlib import Path

from tests.net.conftest import Overheard
from tests.net.hosts import Host
from tests.net.sniffer import Sniffer
from tests.net.together import Together

PROMPT = "The secret password of the giraffe is heliotrope"
ASK = f"""
said = client.generate({PROMPT!r}, temperature=0.8, seed=3, max_tokens=100, ignore_eos=True)
answer = said.text
"""
SECRET_FILES = ("secret", "client-secret", "identity/node.key", "authority/ca.key")


def secrets_of(host: Host) -> list[bytes]:
    """All that a node keeps to itself: as it is written, and as the bytes that hexadecimal digits stand for."""
    found: list[bytes] = []
    for name in SECRET_FILES:
        file = host.state / name
        if file.exists():
            written = file.read_bytes().strip()
            lines = [line for line in written.split(b"\n") if not line.startswith(b"-----") and len(line) >= 32]
            assert lines, name
            found += lines
            found += [bytes.fromhex(line.decode()) for line in lines if re.fullmatch(rb"[0-9a-f]{64}", line)]
    return found


def ray_tokens(host: Host) -> list[bytes]:
    files = [path for path in host.disk.rglob("*") if path.name == "token" and path.is_file()]
    return [path.read_bytes().strip() for path in files]


def needles(together: Together) -> dict[bytes, str]:
    """What nobody may hear, and what it is."""
    wanted: dict[bytes, str] = {}
    for host in together.nodes:
        wanted |= dict.fromkeys(secrets_of(host), f"a secret of {host.name}")
        wanted |= dict.fromkeys(ray_tokens(host), "Ray's token")
    token = together.join_line.rpartition(" ")[2]
    return wanted | {token.encode(): "the join string", token.split(".")[2].encode(): "the secret of the join string"}


def test_a_run_is_not_heard(three_hosts_up: Together, tmp_path: Path) -> None:
    with Sniffer(three_hosts_up.hosts, tmp_path / "run.pcap") as sniffer:
        said = three_hosts_up.ask(ASK, host=three_hosts_up.hosts[2])
    assert sniffer.num_dropped == 0
    assert len(said) > 60
    words = {said[start : start + 12].encode() for start in range(0, len(said) - 12, 12)}
    words |= {PROMPT.encode(), b"giraffe", b"heliotrope"}
    found = sniffer.find([*words, *needles(three_hosts_up)])
    assert {needle: places for needle, places in found.items() if places} == {}
    # Had it heard nothing, this would prove nothing: each stage sends to the next, and the last to the first.
    addresses = {host.address for host in three_hosts_up.nodes}
    heard = {(flow[0], flow[2]) for flow in sniffer.streams()}
    assert {here for here, _ in heard} >= addresses
    assert {there for _, there in heard} >= addresses


def test_starting_and_joining_are_not_heard(overheard: Overheard) -> None:
    wanted = needles(overheard.together)
    assert len(wanted) > 6
    found = overheard.start.find(wanted)
    assert {wanted[needle]: places for needle, places in found.items() if places} == {}
    assert overheard.start.num_packets > 100
    assert overheard.start.num_dropped == 0
