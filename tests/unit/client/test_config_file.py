"""cluster.toml: what may stand in it, who may have it, and that it is enough to reach a cluster over TLS."""

from __future__ import annotations

import asyncio
import os
import pickle
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import cluster
from cluster.api.errors import ClusterError, UnauthenticatedError, UnreachableError, UsageError
from cluster.cli.command import main
from cluster.client.config_file import ClusterFile, parse_cluster_file, read_cluster_file
from cluster.client.own_home import own_file
from cluster.node.home import Home, NodeRecord, write_home
from cluster.node.secret import Secret, write_secret
from cluster.trust.authority import Authority
from cluster.trust.client_key import ClientKey
from cluster.trust.identity import Identity, write_identity
from cluster.wire.access.keys import client_listener
from cluster.wire.inference.server import InferenceServer
from tests.fakes.wire_backends import EchoCluster

HOST = "127.0.0.2"
FIRST_PORT = 20469
SECRET = Secret(bytes(range(32)))  # the same in every process: it is in the names of tests
AUTHORITY = Authority.new("abcdefghij", time.time())
CA = AUTHORITY.certificate_pem.decode("ascii")
GOOD = ClusterFile("10.0.0.1:8470", SECRET, "abcdefghij.ggml-cluster", CA)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a cluster: the folder of the state."""
    for name in ("CLUSTER_ADDRESS", "CLUSTER_CONFIG", "CLUSTER_SECRET", "CLUSTER_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "ggml-cluster"
    folder.mkdir(0o700)
    return folder


def written(folder: Path, file: ClusterFile, name: str = "cluster.toml") -> Path:
    path = folder / name
    path.write_text(file.text)
    path.chmod(0o600)
    return path


# --- The file


@pytest.mark.parametrize("file", [GOOD, ClusterFile("127.0.0.1:8470", SECRET), ClusterFile("[fd77::1]:8470", SECRET)])
def test_what_is_printed_is_read_back(file: ClusterFile, tmp_path: Path) -> None:
    found = read_cluster_file(written(tmp_path, file))
    assert (found.address, found.key, found.server_name) == (file.address, file.key, file.server_name)
    assert found.ca_pem.strip() == file.ca_pem.strip()
    assert SECRET.text not in repr(found)


LINES = GOOD.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "address: it is missing"),
        (b"\xff\xfe", "no TOML"),
        (b"address = \n", r"no TOML \(at line 1"),
        (b"a = 1\n" * 2, "no TOML"),
        (b"[" * 5000, "no TOML"),
        (LINES.replace("address", "adress", 1).encode(), "'adress': unknown; did you mean address"),
        (LINES.replace("10.0.0.1:8470", "10.0.0.1").encode(), "'10.0.0.1' is not host:port"),
        (LINES.replace(SECRET.text, "00").encode(), "secret: it must be 64 hexadecimal digits"),
        (LINES.replace(SECRET.text, "x" * 64).encode(), "secret: it must be 64 hexadecimal digits"),
        (LINES.replace('key = "', 'key = 3 # "').encode(), "key: it is missing, or no text"),
        (LINES.replace("abcdefghij.ggml-cluster", "../x").encode(), "server_name: '../x' is no name"),
        (LINES.replace("abcdefghij.ggml-cluster", "").encode(), "server_name: it is missing"),
        (LINES.replace("BEGIN", "BEGUN").encode(), "ca: no certificates in PEM"),
        (f'address = "a:1"\nkey = "{SECRET.text}"\nca = "x"'.encode(), "server_name: it is missing"),
        (f'address = "a:1"\nkey = "{SECRET.text}"\nserver_name = "x"'.encode(), "ca: it is missing"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_repeated(content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_cluster_file(content)
    assert SECRET.text not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_file_that_others_may_read_or_write_is_refused(mode: int, tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    path.chmod(mode)
    with pytest.raises(ClusterError, match=r"others may (read|write) it"):
        read_cluster_file(path)


def test_a_file_in_a_folder_of_all_users_a_link_and_a_pipe_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    (tmp_path / "link.toml").symlink_to(path)
    os.mkfifo(tmp_path / "pipe.toml", 0o600)
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    written(open_folder, GOOD)
    open_folder.chmod(0o777)
    for name in ("link.toml", "pipe.toml", "open/cluster.toml", "absent.toml"):
        with pytest.raises(ClusterError):
            read_cluster_file(tmp_path / name)


# --- Over TLS


@dataclass
class Served:
    home: Home
    address: str
    backend: EchoCluster


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The API of a cluster of several machines, on its head, which is another user's."""
    folder = tmp_path / "head"
    folder.mkdir(0o700)
    home = make_home(folder, AUTHORITY.head_identity("node-1", [HOST], time.time()))
    backend = EchoCluster()
    server = InferenceServer(backend, client_listener(home, SECRET, "127.0.0.1", free_port()))
    address = server.start()
    yield Served(home, address, backend)
    server.stop()
    backend.join()


def free_port() -> int:
    from cluster.wire.transport.channel import free_port_at

    return free_port_at(HOST)


def make_home(folder: Path, identity: Identity, host: str = HOST) -> Home:
    write_identity(folder / "identity", identity)
    write_secret(folder / "client-secret", SECRET)
    return write_home(folder, NodeRecord(identity.name, "abcdefghij", host, FIRST_PORT, True, HOST))


def file_of(served: Served) -> ClusterFile:
    return ClusterFile(served.address, SECRET, "abcdefghij.ggml-cluster", CA)


def test_the_file_is_enough(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, file_of(served))
    assert served.address.startswith(f"{HOST}:"), "clients come to the node's own address"
    with cluster.connect(str(path)) as client, pickle.loads(pickle.dumps(client)) as copied:
        assert client.generate("good").text == "good"
        assert copied.generate("good").text == "good"
    named = written(tmp_path, file_of(served), "of any name")
    cluster.connect(named).close()
    monkeypatch.setenv("CLUSTER_CONFIG", str(named))
    cluster.connect().close()

    async def ask() -> str:
        async with await cluster.AsyncClient.connect(path) as client:
            return (await client.generate("good")).text

    assert asyncio.run(ask()) == "good"


def test_the_command_line_takes_the_file(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(written(tmp_path, file_of(served)))
    assert main(["run", "--connect", path, "good"]) == 0
    assert capsys.readouterr().out == "goodgood\n"
    assert main(["status", "--connect", path]) == 0
    assert main(["status", "--connect", path, "--address", served.address]) == 2
    assert "--connect: there is an --address, too" in capsys.readouterr().err


def test_a_client_without_file_or_key_is_told_what_to_do(served: Served) -> None:
    with pytest.raises(UnauthenticatedError, match=r"it speaks TLS only, .* run cluster connect, .* CLUSTER_CONFIG$"):
        cluster.connect(served.address)

    async def ask() -> None:
        await cluster.AsyncClient.connect(served.address)

    with pytest.raises(UnauthenticatedError, match="it speaks TLS only"):
        asyncio.run(ask())
    other = ClusterFile(served.address, Secret.new(), "abcdefghij.ggml-cluster", CA)
    with pytest.raises(UnauthenticatedError, match="the secret of this cluster was not given"):
        cluster.connect(other)


def test_a_client_that_knows_another_cluster_sends_nothing(served: Served) -> None:
    stranger = Authority.new("zzzzzzzzzz", time.time())
    others = ClusterFile(served.address, SECRET, "abcdefghij.ggml-cluster", stranger.certificate_pem.decode())
    with pytest.raises(UnauthenticatedError, match=r"its certificate is one of another cluster; on a node .* connect"):
        cluster.connect(others)
    renamed = ClusterFile(served.address, SECRET, "zzzzzzzzzz.ggml-cluster", CA)
    with pytest.raises(UnauthenticatedError, match=r"its certificate is not one of zzzzzzzzzz.ggml-cluster; on a node"):
        cluster.connect(renamed)


def test_a_node_that_joined_is_no_head(tmp_path: Path) -> None:
    """A node's certificate does not serve in the place of the cluster's own name."""
    folder = tmp_path / "node"
    folder.mkdir(0o700)
    from cluster.trust.node_key import new_key, signing_request

    key = new_key()
    signed = AUTHORITY.sign(signing_request(key, "node-2"), "node-2", [HOST], time.time())
    home = make_home(folder, Identity("node-2", "abcdefghij", AUTHORITY.certificate_pem, signed, key))
    server = InferenceServer(EchoCluster(), client_listener(home, SECRET, "127.0.0.1", free_port()))
    address = server.start()
    with pytest.raises(UnauthenticatedError, match=r"its certificate is not one of abcdefghij.ggml-cluster"):
        cluster.connect(ClusterFile(address, SECRET, "abcdefghij.ggml-cluster", CA))
    server.stop()


def test_what_fails_is_said_once(served: Served) -> None:
    """By the error, and not by gRPC on stderr beside it."""
    renamed = ClusterFile(served.address, SECRET, "zzzzzzzzzz.ggml-cluster", CA)
    script = (
        "import sys, cluster, cluster.client.config_file as found\n"
        "try: cluster.connect(found.parse_cluster_file(sys.stdin.buffer.read()))\n"
        "except cluster.UnauthenticatedError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=renamed.text, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")


# --- cluster connect


def test_on_a_node_all_is_found_in_the_home(
    served: Served, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_home(state, AUTHORITY.head_identity("node-1", [HOST], time.time()))
    with cluster.connect(served.address) as client:
        assert client.generate("good").text == "good"
    assert own_file().address == f"{HOST}:{FIRST_PORT + 1}", "where the cluster answers unless it was told otherwise"
    assert main(["connect", served.address]) == 0
    printed = capsys.readouterr()
    assert served.address in printed.err
    path = tmp_path / "printed.toml"
    path.touch(0o600)
    path.write_text(printed.out)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    cluster.connect(path).close()


def test_elsewhere_a_key_is_enough(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text(ClientKey(SECRET, AUTHORITY.hash).text + "\n")
    key.chmod(0o600)
    assert main(["connect", served.address, "--key", f"@{key}"]) == 0
    printed = parse_cluster_file(capsys.readouterr().out.encode())
    assert printed.endpoint == file_of(served).endpoint
    assert main(["connect", served.address, "--key", f"@{key}", "--print-key"]) == 0
    assert capsys.readouterr().out == key.read_text()
    key.write_text(ClientKey(SECRET, Authority.new("zzzzzzzzzz", time.time()).hash).text)
    assert main(["connect", served.address, "--key", f"@{key}"]) == 4
    assert "another cluster answers there" in capsys.readouterr().err
    assert main(["connect", served.address, "--key", ClientKey(SECRET, AUTHORITY.hash).text]) == 2
    assert SECRET.text not in capsys.readouterr().err
    assert main(["connect", "--key", f"@{key}"]) == 2
    key.write_text("gk1.no")
    assert main(["connect", served.address, "--key", f"@{key}"]) == 2
    assert "client key: 6 characters that are none" in capsys.readouterr().err


def test_without_tls_a_file_has_no_certificates(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By --insecure: the secret is proved as on one machine."""
    write_secret(state / "client-secret", SECRET)
    home = write_home(state, NodeRecord("node-1", "abcdefghij", HOST, FIRST_PORT, False, HOST))
    server = InferenceServer(EchoCluster(), client_listener(home, SECRET, "127.0.0.1", free_port()))
    address = server.start()
    assert main(["connect", address]) == 0
    printed = parse_cluster_file(capsys.readouterr().out.encode())
    assert printed == ClusterFile(address, SECRET)
    cluster.connect(printed).close()
    assert main(["connect", address, "--print-key"]) == 2
    server.stop()


def test_without_a_cluster_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect"]) == 1
    assert "no cluster: none was started here" in capsys.readouterr().err
    with pytest.raises(UnreachableError, match="no cluster"):
        cluster.connect()
