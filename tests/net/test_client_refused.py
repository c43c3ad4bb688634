"""A machine that is no node asks the cluster with one file, and nothing less: each part of it counts."""

from __future__ import annotations

import re
import time
import tomllib

import pytest

from cluster.trust.authority import Authority
from tests.net.hosts import Host
from tests.net.together import Together

ASK = ("--temp", "0", "-n", "16", "Once upon a time")


@pytest.fixture(scope="module")
def given(three_hosts_up: Together) -> str:
    """What `cluster connect` says, on a node that is not the head."""
    done = three_hosts_up.hosts[2].run("cluster", "connect")
    assert done.returncode == 0, done.stderr
    assert set(tomllib.loads(done.stdout)) == {"address", "server_name", "ca", "key"}
    return done.stdout


@pytest.fixture
def outside(three_hosts_up: Together) -> Host:
    return three_hosts_up.hosts[4]


def asked(host: Host, settings: str) -> tuple[int, str, str]:
    """Exit code, output and what was said beside, of `cluster run` with such a file."""
    file = host.home / "cluster.toml"
    file.write_text(settings)
    file.chmod(0o600)
    done = host.run("cluster", "run", "--connect", "cluster.toml", *ASK, timeout_s=60)
    return done.returncode, done.stdout, done.stderr


def refused(host: Host, settings: str) -> str:
    """The one line that it says."""
    began_s = time.monotonic()
    code, out, err = asked(host, settings)
    assert code == 4, err
    assert out == ""
    assert time.monotonic() - began_s < 20
    (line,) = err.strip().splitlines()
    return line


def changed(settings: str, key: str, value: str) -> str:
    """`settings` with another value."""
    was = tomllib.loads(settings)[key]
    assert was in settings
    return settings.replace(was, value)


def test_with_the_library(outside: Host, given: str) -> None:
    asked(outside, given)
    script = "import cluster; print(cluster.connect('cluster.toml').generate('Once', max_tokens=4).finish_reason.value)"
    assert outside.python("-c", script).stdout == "length\n"
    script = script.replace("'cluster.toml'", "")
    assert outside.run("python", "-c", script, CLUSTER_CONFIG="cluster.toml").stdout == "length\n"


def test_with_another_key(outside: Host, given: str) -> None:
    assert "secret" in refused(outside, changed(given, "key", "0" * 64))


def test_without_a_key(outside: Host, given: str) -> None:
    code, out, err = asked(outside, re.sub(r"(?m)^key = .*$", "", given))
    assert code != 0
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err


def test_where_another_authority_answers(outside: Host, given: str) -> None:
    authority = Authority.new("abcdefghij", time.time())
    assert "certificate" in refused(outside, changed(given, "ca", authority.certificate_pem.decode()))


def test_where_another_node_answers(outside: Host, given: str) -> None:
    """As if a node had taken the address of the one that clients speak to."""
    name = tomllib.loads(given)["server_name"]
    assert "certificate" in refused(outside, changed(given, "server_name", f"x{name}"))
