"""What docs/machines.md shows is typed on hosts of its own, and prints what is shown there, but for its figures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cluster.demo import model_path
from tests.net.conftest import made_hosts
from tests.net.hosts import PROJECT, Host, Hosts
from tests.net.running import Running

PAGE = PROJECT / "docs" / "machines.md"
TYPED = re.compile(r"    (one|two)\$  (.+)")
TIMEOUT_S = 240.0
# Which phases of loading are seen is a matter of luck, and what a machine is called one of the machine.
BY_CHANCE = re.compile(r"\s*stage \d+ on|NODE |.*\(head\)|two +\d|joined: ")
TOKEN = re.compile(r"gc1\.\S+")


@dataclass
class Step:
    """One line that a person types, and what the page shows below it."""

    host: str
    command: str
    shown: list[str] = field(default_factory=list)


def steps_of(section: str) -> list[Step]:
    text = PAGE.read_text()
    body = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    steps: list[Step] = []
    for line in body.splitlines():
        typed = TYPED.fullmatch(line)
        if typed:
            steps.append(Step(typed[1], typed[2]))
        elif line.startswith("    ") and steps:
            steps[-1].shown.append(line[4:])
    return steps


@pytest.fixture
def two_hosts(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with made_hosts(tmp_path_factory.mktemp("transcript"), 2) as hosts:
        for host in hosts:
            (host.home / "MODEL.gguf").symlink_to(model_path())
        yield hosts


def check_shown(step: Step, printed: str) -> None:
    """Line by line, where figures and tokens may differ."""
    lines = [_shape(line) for line in printed.splitlines()]
    for line in step.shown:
        if not BY_CHANCE.match(line):
            assert _shape(line) in lines, f"{step.command}: {line!r} is not among\n{printed}"


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", TOKEN.sub("gc1", line)).rstrip()


def finished(host: Host, step: Step) -> str:
    done = host.run("sh", "-c", step.command)
    assert done.returncode == 0, f"{step.command}: {done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.slow
def test_two_machines(two_hosts: Hosts) -> None:
    by_name = {host.name: host for host in two_hosts}
    up, join, *others = steps_of("Two machines")
    assert up.command.startswith("cluster up")
    assert join.command.startswith("cluster join")
    head: Running = by_name["one"].start("sh", "-c", up.command)
    line = re.search(r"cluster join .*", head.wait_for("cluster join", TIMEOUT_S))
    assert line is not None
    assert _shape(line.group()) == _shape(join.command)
    node = by_name["two"].start(*shlex.split(line.group()))
    node.wait_for("joined: ", TIMEOUT_S)
    assert head.wait(TIMEOUT_S) == 0, head.err
    # What `up` prints after the machine has joined is shown below the line that joins it.
    said, later = [text for text in join.shown if text.startswith("admitted")], join.shown[2:]
    check_shown(Step("one", up.command, up.shown + later), head.err)
    check_shown(Step("two", join.command, said), node.err)
    for step in others:
        check_shown(step, finished(by_name[step.host], step))
    node.wait(TIMEOUT_S)
    assert all(not host.pids() for host in two_hosts)


@pytest.mark.slow
def test_clients_elsewhere(two_hosts: Hosts) -> None:
    by_name = {host.name: host for host in two_hosts}
    for step in steps_of("One machine, and clients elsewhere"):
        if "--connect cluster.toml" in step.command:
            carried = Path(by_name["one"].home / "cluster.toml").read_bytes()
            target = by_name["two"].home / "cluster.toml"
            target.touch(mode=0o600)
            target.write_bytes(carried)
        check_shown(step, finished(by_name[step.host], step))


def test_every_line_of_the_page_is_typed_in_a_test() -> None:
    typed = [line for line in PAGE.read_text().splitlines() if TYPED.fullmatch(line)]
    sections = ("Two machines", "One machine, and clients elsewhere", "A Ray cluster that exists already")
    assert sum(len(steps_of(section)) for section in sections) == len(typed)
