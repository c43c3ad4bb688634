"""A Ray that somebody else started over two hosts: its nodes are found, get identities through it, and keep none."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.trust.authority import Authority
from cluster.trust.names import new_cluster_id
from cluster.trust.node_key import new_key, signing_request
from tests.net.conftest import made_hosts
from tests.net.hosts import Host, Hosts

PORT = 6379
FOLDER = "/tmp/ray-of-others"  # on each host
TOKEN = "token"
START_S = 120.0


@pytest.fixture(scope="module")
def foreign(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Two hosts with a Ray whose nodes show certificates of an authority of its own."""
    with made_hosts(tmp_path_factory.mktemp("foreign"), 2) as hosts:
        start_ray(hosts)
        yield hosts


def start_ray(hosts: Hosts) -> None:
    """`ray start` on every host, the first one as head, with certificates of one new authority."""
    authority, token = Authority.new(new_cluster_id(), time.time()), secrets.token_hex(32)
    for host in hosts:
        folder = host.disk / Path(FOLDER).name
        folder.mkdir(mode=0o700)
        key_pem = new_key()
        request = signing_request(key_pem, host.name)
        write(folder / "ca.crt", authority.certificate_pem)
        write(folder / "node.crt", authority.sign(request, host.name, [host.address], time.time()))
        write(folder / "node.key", key_pem)
        write(folder / TOKEN, token.encode())
        where = ("--head", f"--port={PORT}") if host.number == 1 else (f"--address={hosts[1].address}:{PORT}",)
        command = ("ray", "start", *where, f"--node-ip-address={host.address}", f"--temp-dir={FOLDER}/ray")
        options = ("--num-cpus=2", "--num-gpus=0", "--object-store-memory=104857600", "--disable-usage-stats")
        dashboard = ("--include-dashboard=false",) if host.number == 1 else ()
        done = host.run(*command, *options, *dashboard, timeout_s=START_S, **environment())
        assert done.returncode == 0, done.stderr


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def environment(*, is_encrypted: bool = True) -> dict[str, str]:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{FOLDER}/{TOKEN}"}
    files = {"RAY_TLS_CA_CERT": "ca.crt", "RAY_TLS_SERVER_CERT": "node.crt", "RAY_TLS_SERVER_KEY": "node.key"}
    tls = {"RAY_USE_TLS": "1"} | {name: f"{FOLDER}/{file}" for name, file in files.items()}
    return token | (tls if is_encrypted else {})


def run_folders(host: Host) -> list[str]:
    return [name for name in os.listdir(host.disk) if name.startswith("ggml-cluster-")]


@pytest.mark.slow
def test_its_nodes_serve_as_those_that_joined_do_and_have_nothing_of_ours_afterwards(foreign: Hosts) -> None:
    head = foreign[1]
    address = ("--address", f"{head.address}:{PORT}")
    done = head.run(
        "cluster", "up", "--demo", "--stages", "2", "-c", "64", "-t", "1", *address, timeout_s=START_S, **environment()
    )
    assert done.returncode == 0, done.stderr
    shown = head.run("cluster", "status").stdout
    rows = [line.split() for line in shown.splitlines() if line.endswith("ready")]
    assert [row[1] for row in rows] == [foreign[1].name, foreign[2].name]
    assert f"{head.address}:8470" in shown
    assert head.run("cluster", "run", "Once", "-n", "3").returncode == 0
    (folder,) = run_folders(foreign[2])
    keys = list((foreign[2].disk / folder).rglob("node.key"))
    assert [key.stat().st_mode & 0o77 for key in keys] == [0]
    done = head.run("cluster", "down", timeout_s=START_S, **environment())
    assert done.returncode == 0, done.stderr
    assert [run_folders(host) for host in foreign] == [[], []]
