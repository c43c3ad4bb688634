"""Hosts on a switch: namespaces of this machine, each with its own network, processes, name, /tmp and /dev/shm.

Nothing of them is visible outside: the switch is a namespace too, and no namespace has a name on the machine, so any
number of test runs may use the same addresses at the same time. They share the kernel, its clock, and the rest of the
file system. There is no way out of the switch: the default route leads to an address where nobody is.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.net import delay_proxy
from tests.net.running import Running

NETWORK, NETWORK_6 = "10.77.0", "fd77:"
NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight")
NAMESPACES = ("--net", "--uts", "--ipc", "--mount", "--pid")
INIT = Path(__file__).with_name("host_init.py")
PROJECT = Path(__file__).parents[2]
PROXY_PORT = 8400  # of `delayed`
START_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 240.0


@dataclass
class Machine:
    """Namespaces that live as long as their first process, which lives as long as the pipe to it is open."""

    init: subprocess.Popen[str]

    @classmethod
    def boot(cls, name: str = "", disk: Path | None = None, names: Path | None = None) -> Machine:
        wanted = {"name": name, "disk": str(disk), "names": str(names), "visible": _below_tmp()}
        command = ["unshare", *NAMESPACES, "--fork", "--mount-proc", sys.executable, "-I", str(INIT)]
        init = subprocess.Popen(
            [*command, json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        machine = cls(init)
        assert init.stdout is not None
        if init.stdout.readline() != "ready\n":
            machine.halt()
            raise AssertionError(f"{name or 'the switch'} did not start")
        return machine

    @property
    def pid(self) -> int:
        """Of its first process, as seen from outside."""
        return int(Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()[0])

    def pids(self) -> list[int]:
        """Every process in it but the first, as seen from outside."""
        ours, first = os.readlink(f"/proc/{self.pid}/ns/pid"), self.pid
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if entry.isdigit() and int(entry) != first and os.readlink(f"/proc/{entry}/ns/pid") == ours:
                    found.append(int(entry))
        return found

    def entered(self, *command: str, folder: str = "/") -> list[str]:
        """The command that runs `command` inside, in `folder`."""
        inside = ["nsenter", f"--target={self.pid}", *NAMESPACES, "--"]
        return [*inside, "sh", "-c", 'cd "$0" && exec "$@"', folder, *command]

    def ip(self, *arguments: str) -> str:
        """Run iproute2's ``ip`` in this network."""
        command = ["nsenter", f"--target={self.pid}", "--net", "ip", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        return done.stdout

    def halt(self) -> None:
        """End every process in it; its interfaces go, too. May be repeated."""
        for pipe in (self.init.stdin, self.init.stdout):
            if pipe is not None:
                pipe.close()
        self.init.wait(START_TIMEOUT_S)


@dataclass
class Host:
    """A machine with a cable to the switch. `disk` is its /tmp as seen from outside, and survives `power_off`."""

    name: str
    number: int
    disk: Path
    switch: Machine
    machine: Machine
    started: list[Running] = field(default_factory=list)
    profile: str = ""  # of the user there: with another one, another cluster can be up beside the first

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def address_6(self) -> str:
        return f"{NETWORK_6}:{self.number}"

    @property
    def home(self) -> Path:
        """Its $HOME, from outside."""
        return self.disk / "home"

    @property
    def state(self) -> Path:
        """Where its processes keep their state, from outside: identity, secrets, what runs."""
        return self.disk / "state" / "ggml-cluster"

    @property
    def environment(self) -> dict[str, str]:
        """Of a user who has just logged in there; our commands are on the path."""
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        kinds = {"state": f"state{self.profile}", "cache": "cache", "config": f"config{self.profile}"}
        folders = {f"XDG_{kind.upper()}_HOME": f"/tmp/{folder}" for kind, folder in kinds.items()}
        return {"HOME": "/tmp/home", "PATH": path, "LANG": "C.UTF-8", **folders}

    def run(self, *command: str, timeout_s: float = COMMAND_TIMEOUT_S, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `command` here to its end; `more` is added to the environment. TimeoutExpired ends it."""
        running = self.start(*command, **more)
        try:
            running.wait(timeout_s)
        finally:
            running.end()
        return subprocess.CompletedProcess(command, running.returncode or 0, running.out, running.err)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run our Python here."""
        return self.run(sys.executable, *arguments)

    def start(self, *command: str, **more: str) -> Running:
        """Start `command` here; it ends with the host at the latest."""
        entered = self.machine.entered(*command, folder="/tmp/home")
        running = Running.start(entered, self.environment | more, self.disk / "logs")
        self.started.append(running)
        return running

    def pids(self) -> list[int]:
        return self.machine.pids()

    def kill_all(self) -> None:
        """SIGKILL for every process here: connections are closed at once, and the network stays."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while pids := self.pids():
            assert time.monotonic() < deadline, f"{pids} do not end on {self.name}"
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def cut(self) -> None:
        """Out of the switch, as a cable pulled somewhere on the way: nothing arrives, and its own link stays up."""
        self.switch.ip("link", "set", f"h{self.number}", "nomaster")

    def heal(self) -> None:
        self.switch.ip("link", "set", f"h{self.number}", "master", "br0")

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        self.cut()
        try:
            yield
        finally:
            self.heal()

    def link_down(self) -> None:
        """Its own interface goes down; the address and the routes have to be given anew by `link_up`."""
        self.machine.ip("link", "set", "eth0", "down")

    def link_up(self) -> None:
        self.machine.ip("link", "set", "eth0", "up")
        self._give_addresses()

    def deafen(self, other: Host) -> None:
        """Packets of `other` no longer arrive here; ours still arrive there. Needs iptables."""
        self.iptables("filter", "-I", *self._all_of(other))

    def undeafen(self, other: Host) -> None:
        self.iptables("filter", "-D", *self._all_of(other))

    @staticmethod
    def _all_of(other: Host) -> tuple[str, ...]:
        return ("INPUT", "-s", other.address, "-j", "DROP")

    def skip_without_filter(self, table: str) -> None:
        """Skip the test, before it has begun with anything, where the kernel's packet filter cannot be ordered."""
        if self.run("iptables", "-t", table, "-L").returncode != 0:
            pytest.skip(f"no iptables that works here (its table {table}); install iptables")

    def iptables(self, table: str, *rule: str) -> None:
        """Give a rule to the packet filter of this host. The test is skipped where it has none."""
        self.skip_without_filter(table)
        done = self.run("iptables", "-t", table, *rule)
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def delayed(self, delay_s: float) -> Iterator[Running]:
        """What this host's new TCP connections to others carry takes so long each way. Needs iptables.

        Setting up a connection takes no longer. The proxy that does it is given: it takes further orders.
        """
        proxy = self.start(
            sys.executable, "-I", delay_proxy.__file__, f"127.0.0.1:{PROXY_PORT}", delay_proxy.THERE, str(delay_s)
        )
        proxy.wait_for("ready", START_TIMEOUT_S)
        rule = (
            "OUTPUT",
            "-p",
            "tcp",
            "-o",
            "eth0",
            "-d",
            f"{NETWORK}.0/24",
            "-m",
            "mark",
            "!",
            "--mark",
            str(delay_proxy.MARK),
        )
        redirect = ("-j", "REDIRECT", "--to-ports", str(PROXY_PORT))
        with contextlib.ExitStack() as undone:
            undone.callback(proxy.end)
            self.iptables("nat", "-A", *rule, *redirect)
            undone.callback(self.iptables, "nat", "-D", *rule, *redirect)
            yield proxy

    def power_off(self) -> None:
        """As if the cord were pulled: its processes are gone, and nobody hears of it."""
        self.cut()
        self.machine.halt()
        # Connections whose ends nobody has heard of keep the network for minutes; the card is to be free before.
        with contextlib.suppress(AssertionError):
            self.switch.ip("link", "delete", f"h{self.number}")

    def power_on(self) -> None:
        """The same disk, addresses and name; no process runs."""
        self.machine = Machine.boot(self.name, self.disk, self.disk.parent / "names")
        self.plug_in()

    def plug_in(self) -> None:
        """Give it a cable, addresses and a default route."""
        port = f"h{self.number}"
        # After power_on it has to be the same card: the others remember it for half a minute.
        card = ("name", "eth0", "address", f"02:00:00:00:00:{self.number:02x}", "netns", str(self.machine.pid))
        self.switch.ip("link", "add", port, "type", "veth", "peer", *card)
        self.switch.ip("link", "set", port, "master", "br0", "up")
        self.machine.ip("link", "set", "lo", "up")
        self.machine.ip("link", "set", "eth0", "up")
        self._give_addresses()

    def _give_addresses(self) -> None:
        self.machine.ip("addr", "replace", f"{self.address}/24", "dev", "eth0")
        # Without the search for duplicates, which takes seconds in which the address cannot be used.
        self.machine.ip("addr", "replace", f"{self.address_6}/64", "dev", "eth0", "nodad")
        # Nobody is there: programs that ask the kernel which address leads out get one, as on a real host.
        self.machine.ip("route", "replace", "default", "via", f"{NETWORK}.254")

    @property
    def sent_bytes(self) -> int:
        """Bytes of frames that have left this host since its link was made."""
        return self._count("tx_bytes")

    @property
    def received_bytes(self) -> int:
        return self._count("rx_bytes")

    def _count(self, name: str) -> int:
        return int(Path(f"/proc/{self.machine.pid}/root/sys/class/net/eth0/statistics/{name}").read_text())

    def end_started(self) -> None:
        for running in self.started:
            running.end()
        self.started.clear()


@dataclass
class Hosts:
    """The switch and what is plugged into it; `close` ends everything, and may be repeated."""

    root: Path
    switch: Machine
    hosts: list[Host] = field(default_factory=list)

    @classmethod
    def make(cls, root: Path, num_hosts: int) -> Hosts:
        """`root`: an empty folder for their disks."""
        switch = Machine.boot()
        made = cls(root, switch)
        try:
            switch.ip("link", "add", "br0", "type", "bridge")
            switch.ip("link", "set", "lo", "up")
            switch.ip("link", "set", "br0", "up")
            made._write_names(num_hosts)
            for number in range(1, num_hosts + 1):
                made._add(number)
        except BaseException:
            made.close()
            raise
        return made

    def _write_names(self, num_hosts: int) -> None:
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        lines += [f"{NETWORK}.{number} {NAMES[number - 1]}" for number in range(1, num_hosts + 1)]
        (self.root / "names").write_text("\n".join(lines) + "\n")

    def _add(self, number: int) -> None:
        name = NAMES[number - 1]
        disk = self.root / name
        for folder in ("home", "state", "cache", "config", "logs"):
            (disk / folder).mkdir(parents=True, mode=0o700)
        disk.chmod(0o1777)
        host = Host(name, number, disk, self.switch, Machine.boot(name, disk, self.root / "names"))
        self.hosts.append(host)
        host.plug_in()

    def __getitem__(self, number: int) -> Host:
        """The host with this number, from 1."""
        return self.hosts[number - 1]

    def __iter__(self) -> Iterator[Host]:
        return iter(self.hosts)

    def __len__(self) -> int:
        return len(self.hosts)

    @property
    def ports(self) -> list[str]:
        """The switch's interfaces, one for each host."""
        return [f"h{host.number}" for host in self.hosts]

    def namespaces(self) -> set[str]:
        """What the kernel calls the networks of the switch and of the hosts that are on."""
        machines = [self.switch, *(host.machine for host in self.hosts)]
        return {os.readlink(f"/proc/{machine.pid}/ns/net") for machine in machines if machine.init.poll() is None}

    def close(self) -> None:
        for host in self.hosts:
            host.machine.halt()
            host.end_started()
        self.switch.halt()


def processes_in(namespaces: set[str]) -> list[int]:
    """Processes of this machine whose network is one of `namespaces`."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/net") in namespaces:
                found.append(int(entry))
    return found


def _below_tmp() -> list[str]:
    """What a host has to see although its /tmp is its own: this project and its Python, where they are there."""
    folders = {PROJECT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    tmp = Path("/tmp")
    return sorted(str(folder) for folder in folders if tmp in folder.parents)
