"""What the other tests of this folder stand on: hosts are apart, can be broken, and leave nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.net.hosts import PROJECT, Host, Hosts, processes_in
from tests.net.running import Running

# Answers every line with the same line.
ECHO = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], int(sys.argv[2])), family=family) as server:
    print("listens", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(1000):
                connection.sendall(data)
"""
ASK = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1) as connection:
    connection.sendall(b"hello")
    print(connection.recv(100).decode(), flush=True)
"""
PORT = "9000"


def echo(host: Host, address: str) -> Running:
    running = host.start(sys.executable, "-c", ECHO, address, PORT)
    running.wait_for("listens", 10)
    return running


def reaches(host: Host, address: str) -> bool:
    done = host.run(sys.executable, "-c", ASK, address, PORT)
    return done.stdout == "hello\n"


def test_a_host_has_name_addresses_and_processes_of_its_own(hosts: Hosts) -> None:
    one = hosts[1]
    assert one.run("hostname").stdout == "one\n"
    assert socket.gethostname() != "one"
    script = "import os, socket; print(os.getpid(), socket.gethostbyname('two'), len(os.listdir('/sys/class/net')))"
    assert one.python("-c", script).stdout.split()[1:] == ["10.77.0.2", "2"]
    assert int(one.run("sh", "-c", "ls -d /proc/[0-9]* | wc -l").stdout) < 10
    assert Path("/sys/fs/cgroup").is_dir() == (one.run("test", "-d", "/sys/fs/cgroup").returncode == 0)


def test_its_disk_is_seen_from_outside_and_by_no_other_host(hosts: Hosts) -> None:
    one, two = hosts[1], hosts[2]
    one.run("sh", "-c", "echo mine > /tmp/note; echo mine > /dev/shm/note; echo $HOME $XDG_STATE_HOME > $HOME/where")
    assert (one.disk / "note").read_text() == "mine\n"
    assert (one.home / "where").read_text() == "/tmp/home /tmp/state\n"
    assert two.run("sh", "-c", "cat /tmp/note /dev/shm/note").stdout == ""
    assert not Path("/dev/shm/note").exists()


def test_our_commands_are_on_its_path(hosts: Hosts) -> None:
    done = hosts[2].run("cluster", "--help")
    assert done.returncode == 0, done.stderr
    assert PROJECT.is_dir()


@pytest.mark.parametrize("family", [4, 6])
def test_hosts_reach_each_other_and_nothing_else(hosts: Hosts, family: int) -> None:
    address = hosts[1].address if family == 4 else hosts[1].address_6
    running = echo(hosts[1], address)
    assert all(reaches(host, address) for host in hosts)
    running.end()
    assert not reaches(hosts[2], address)
    outside = hosts[1].run(sys.executable, "-c", ASK, "192.0.2.1", PORT)
    assert "TimeoutError" in outside.stderr or "unreachable" in outside.stderr or "No route" in outside.stderr


def test_a_cut_stops_a_connection_and_healing_goes_on_with_it(hosts: Hosts) -> None:
    running = echo(hosts[1], hosts[1].address)
    script = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as connection:
    for line in sys.stdin:
        connection.sendall(line.encode())
        print("back", connection.recv(100).decode().strip(), flush=True)
"""
    talking = hosts[2].start(sys.executable, "-c", script, hosts[1].address, PORT)
    talking.say("first")
    talking.wait_for("back first", 10)
    with hosts[2].cut_off():
        talking.say("second")
        time.sleep(0.5)
        assert "second" not in talking.out
    talking.wait_for("back second", 10)
    talking.end()
    running.end()


def test_an_interface_goes_down_and_up(hosts: Hosts) -> None:
    running = echo(hosts[1], hosts[1].address)
    hosts[2].link_down()
    assert not reaches(hosts[2], hosts[1].address)
    hosts[2].link_up()
    assert reaches(hosts[2], hosts[1].address)
    running.end()


def test_a_deaf_host_is_still_heard(hosts: Hosts) -> None:
    hosts[2].skip_without_filter("filter")
    running = echo(hosts[3], hosts[3].address)
    hosts[2].deafen(hosts[1])
    try:
        assert not reaches(hosts[1], hosts[2].address)
        assert reaches(hosts[2], hosts[3].address)
        before = hosts[1].received_bytes
        assert not reaches(hosts[2], hosts[1].address)
        assert hosts[1].received_bytes > before
    finally:
        hosts[2].undeafen(hosts[1])
    running.end()


def test_power_off_ends_everything_and_the_disk_survives(hosts: Hosts) -> None:
    four = hosts[4]
    running = echo(four, four.address)
    assert len(four.pids()) == 1
    (four.disk / "kept").write_text("still here")
    four.power_off()
    running.wait(10)
    assert not reaches(hosts[1], four.address)
    four.power_on()
    assert four.run("cat", "/tmp/kept").stdout == "still here"
    again = echo(four, four.address)
    assert reaches(hosts[1], four.address)
    four.kill_all()
    again.wait(10)
    assert four.pids() == []


def test_a_command_can_be_interrupted(hosts: Hosts) -> None:
    running = hosts[1].start(sys.executable, "-c", "import time; print('sleeps', flush=True); time.sleep(60)")
    running.wait_for("sleeps", 10)
    running.signal(signal.SIGINT)
    assert running.wait(10) != 0
    assert "KeyboardInterrupt" in running.err


def test_sent_bytes_are_counted(hosts: Hosts) -> None:
    size = 10 * 2**20
    receive = "import socket; s = socket.create_server(('', 9001)); print('listens', flush=True); c, _ = s.accept()\n"
    receive += "while c.recv(2**20): pass"
    receiving = hosts[1].start(sys.executable, "-c", receive)
    receiving.wait_for("listens", 10)
    before = hosts[2].sent_bytes, hosts[1].received_bytes
    send = f"import socket; c = socket.create_connection(('one', 9001)); c.sendall(bytes({size})); c.close()"
    assert hosts[2].python("-c", send).returncode == 0
    receiving.wait(10)
    # What frames add depends on how much the kernel sends at once: at worst 66 bytes to each 1448.
    assert size <= hosts[2].sent_bytes - before[0] < 1.06 * size
    assert size <= hosts[1].received_bytes - before[1] < 1.06 * size


def test_a_test_run_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    script = f"""
import pathlib, sys, time
from tests.net.hosts import Hosts
hosts = Hosts.make(pathlib.Path({str(tmp_path)!r}), 2)
hosts[1].start("sleep", "1000")
hosts[2].start("setsid", "sleep", "1000")
while not (hosts[1].pids() and hosts[2].pids()):
    time.sleep(0.01)
print(*hosts.namespaces(), flush=True)
time.sleep(1000)
"""
    killed = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert killed.stdout is not None
    namespaces = set(killed.stdout.readline().split())
    assert len(namespaces) == 3
    assert len(processes_in(namespaces)) >= 5
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    deadline = time.monotonic() + 10
    while left := processes_in(namespaces):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
