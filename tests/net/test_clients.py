"""Clients on a host that is no node: by the file that a node prints, over TLS, and not without it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.net.hosts import Host
from tests.net.sniffer import Sniffer
from tests.net.together import Together

PROMPT = "Nobody overhears that a small green dragon said"
ASK = "import cluster, sys; print(cluster.connect(*sys.argv[1:]).generate('Once', max_tokens=4).finish_reason)"


def stranger_of(together: Together) -> Host:
    return together.hosts[together.num_nodes + 1]


def written(host: Host, name: str, content: str) -> str:
    """The path of a new file on that host, which only its user may read."""
    path = f"/tmp/home/{name}"
    done = host.run("sh", "-c", 'umask 077; printf %s "$1" > "$2"', "sh", content, path)
    assert done.returncode == 0, done.stderr
    return path


def file_from(host: Host, at: Host) -> str:
    """What `cluster connect` prints on a node, as a file of another host."""
    printed = host.run("cluster", "connect")
    assert printed.returncode == 0, printed.stderr
    return written(at, "cluster.toml", printed.stdout)


def test_a_file_from_any_node_is_enough_and_nothing_is_heard(three_hosts_up: Together, tmp_path: Path) -> None:
    client = stranger_of(three_hosts_up)
    for node in three_hosts_up.nodes:
        path = file_from(node, client)
        status = client.run("cluster", "status", "--connect", path, "-o", "json")
        assert status.returncode == 0, status.stderr
        assert json.loads(status.stdout)["state"] == "ready"
    with Sniffer(three_hosts_up.hosts, tmp_path / "heard.pcap") as sniffer:
        told = client.run("cluster", "run", "--connect", path, PROMPT, "-n", "12")
    assert told.returncode == 0, told.stderr
    text = told.stdout.removeprefix(PROMPT).strip()
    assert sum(sniffer.volumes().values()) > len(PROMPT), "the client was heard at all"
    needles = (PROMPT.encode(), text[:20].encode(), b"/ggml_cluster.v1.Inference/Generate")
    assert not any(sniffer.find(needles).values())


def test_without_the_file_a_client_is_told_what_to_do(three_hosts_up: Together) -> None:
    client = stranger_of(three_hosts_up)
    path = file_from(three_hosts_up.head, client)
    address = f"{three_hosts_up.head.address}:8470"
    refused = client.run("cluster", "status", "--address", address)
    assert refused.returncode == 4
    (line,) = refused.stderr.splitlines()
    assert "it speaks TLS only" in line and "cluster connect" in line
    assert client.run("sh", "-c", 'chmod 644 "$1" && cluster status --connect "$1"', "sh", path).returncode == 1


def test_a_key_makes_the_file_elsewhere(three_hosts_up: Together) -> None:
    client = stranger_of(three_hosts_up)
    key = written(client, "key", three_hosts_up.head.run("cluster", "connect", "--print-key").stdout)
    made = client.run("cluster", "connect", f"{three_hosts_up.head.address}:8470", "--key", f"@{key}")
    assert made.returncode == 0, made.stderr
    done = client.run(sys.executable, "-c", ASK, written(client, "made.toml", made.stdout))
    assert (done.returncode, done.stdout) == (0, "length\n"), done.stderr


def test_nodes_need_nothing(three_hosts_up: Together) -> None:
    for node in three_hosts_up.nodes:
        done = node.run(sys.executable, "-c", ASK)
        assert (done.returncode, done.stdout) == (0, "length\n"), done.stderr
