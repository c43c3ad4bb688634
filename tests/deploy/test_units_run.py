"""The commands of the units on two hosts, run as systemd would run them: join by a string, come back after a reboot."""

from __future__ import annotations

import json
import re
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.demo import model_path
from tests.deploy.files import DEPLOY
from tests.deploy.tools import BIN
from tests.net import rights
from tests.net.hosts import Host, Hosts
from tests.net.running import Running

UP_TIMEOUT_S = 240
END_TIMEOUT_S = 90
pytestmark = [pytest.mark.deploy, pytest.mark.ray, pytest.mark.slow]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    missing = rights.missing()
    if missing is not None:
        pytest.skip(missing)
    made = Hosts.make(tmp_path, 2)
    try:
        for host in made:
            (host.disk / "etc").mkdir()
        yield made
    finally:
        made.close()


def start(host: Host, name: str) -> Running:
    """ExecStart of a unit, with its environment and what systemd puts in; folders of the host's own."""
    text = (DEPLOY / "systemd" / f"ggml-cluster-{name}.service").read_text(encoding="utf-8").replace("\\\n", " ")
    text = text.replace("/opt/ggml-cluster/bin", str(BIN)).replace("/etc/ggml-cluster", "/tmp/etc")
    text = text.replace("/var/lib/ggml-cluster", "/tmp/state").replace("/var/cache/ggml-cluster", "/tmp/cache")
    (line,) = re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
    given = dict(word.split("=", 1) for word in line.split())
    file = host.disk / "etc" / "node.env"
    if file.exists():
        given |= dict(word.split("=", 1) for word in file.read_text().split())
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    words = [re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], word) for word in shlex.split(command)]
    return host.start(*words, **given)


def test_a_cluster_of_two_units_survives_the_reboot_of_one(hosts: Hosts) -> None:
    one, two = hosts
    settings = (DEPLOY / "systemd" / "head.toml").read_text(encoding="utf-8")
    settings = re.sub(r"^# (?=(advertise-address|nodes|wait) = )", "", settings, flags=re.MULTILINE)
    settings = settings.replace("/srv/models/model.gguf", str(model_path())).replace("10.0.0.1", one.address)
    (one.disk / "etc" / "head.toml").write_text(settings.replace("nodes = 3", "nodes = 2").replace("4096", "512"))
    head = start(one, "head")
    wait_until(lambda: one.run("cluster", "nodes").returncode == 0, head)
    made = one.run("cluster", "token", "create", "--ttl", "1h", "--uses", "1")
    (two.disk / "etc" / "join").write_text(made.stdout.split()[-1])
    (two.disk / "etc" / "node.env").write_text(f"HEAD={one.address}:8469\n")
    node = start(two, "node")
    wait_until(lambda: is_served(one), head, node)

    (two.disk / "etc" / "join").unlink()
    two.power_off()
    wait_until(lambda: "h2@" not in two.switch.ip("link"), head)  # the kernel takes the interface away a little later
    two.power_on()
    node = start(two, "node")
    wait_until(lambda: "joined" in node.err and is_member(one, "two"), head, node)
    wait_until(lambda: one.run("cluster", "run", "Once", "-n", "8").returncode == 0, head, node)

    head.signal(signal.SIGTERM)
    assert head.wait(END_TIMEOUT_S) == 0
    assert node.wait(END_TIMEOUT_S) == 0
    assert one.pids() == two.pids() == []


def is_served(head: Host) -> bool:
    """Whether both machines have a stage that is ready."""
    done = head.run("cluster", "status", "-o", "json")
    status = json.loads(done.stdout) if done.returncode == 0 else {"state": "", "stages": []}
    return status["state"] == "ready" and {stage["node"] for stage in status["stages"]} == {"one", "two"}


def is_member(head: Host, name: str) -> bool:
    """Whether the head has the node as one that is ready; its layers may have gone to others meanwhile."""
    lines = [line.split() for line in head.run("cluster", "nodes").stdout.splitlines()]
    return any(words[0] == name and words[-1] == "ready" for words in lines)


def wait_until(is_so: object, *running: Running) -> None:
    assert callable(is_so)
    deadline = time.monotonic() + UP_TIMEOUT_S
    while not is_so():
        told = "\n".join(each.out + each.err for each in running)
        assert time.monotonic() < deadline, told
        assert all(each.returncode is None for each in running), told
        time.sleep(0.5)
