"""``cluster join``: make this machine a node of a cluster, and keep it one."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.api.errors import ClusterError, UsageError
from cluster.cli.hidden import hide, read_given
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.node.home import Home

DETACHED_WAIT_S = 120.0
POLL_S = 0.1
LOG = "join.log"


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "join",
        help="make this machine a node of a cluster",
        description="Join the cluster whose head printed the string, and stay in it until Ctrl-C. A machine that has "
        "joined before needs no arguments: it waits for its head, and comes back.",
    )
    add = parser.add_argument
    add("address", nargs="?", metavar="HOST:PORT", help="where the head lets machines in")
    add("--token", metavar="STRING", help="what the head printed; @FILE, or - for standard input")
    add("--name", metavar="NAME", help="of this machine in the cluster (default: its host name)")
    add(
        "--advertise-address",
        metavar="A",
        help="address, name or interface by which the others reach this machine (default: that from which it reaches "
        "the head)",
    )
    add("-d", "--detach", action="store_true", help="return once it has joined, and stay in the background")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    hide("--token", sys.argv[1:])
    from cluster.node.state import state_folder

    folder = state_folder()
    _check_given(options)
    if options.address is None and (running := _running(folder)):
        print(running, file=sys.stderr)
        return 0
    home = _joined(options, folder)
    return _detached(folder) if options.detach else _stay(folder, home, is_new=options.address is not None)


def _check_given(options: argparse.Namespace) -> None:
    if options.address is None and (options.token or options.name or options.advertise_address):
        raise UsageError(
            "HOST:PORT: none given; give where the head lets machines in, as cluster token create prints it"
        )


def _running(folder: Path) -> str | None:
    """What to say where this machine takes part already."""
    from cluster.node.joined_state import read_joined

    state = read_joined(folder)
    if state is None or not state.is_attended:
        return None
    return f"joined already: {state.summary}" if state.summary else f"process {state.pid} is about to join already"


def _joined(options: argparse.Namespace, folder: Path) -> Home:
    """The home of this node; a string that is given wins over what was there."""
    from cluster.node.home import read_home

    if options.token is None:
        home = read_home(folder)
        if home.record is None:
            raise UsageError("join: this machine is no node of a cluster yet; give HOST:PORT and --token, see --help")
        if home.record.is_head:
            raise UsageError("join: this machine is the head of its cluster; see: cluster status")
        return home if options.address is None else _followed(options, home)
    import platform

    from cluster.membership.joining import join
    from cluster.node.advertised import advertised_host
    from cluster.trust.join_string import JoinString
    from cluster.trust.names import node_name_of

    join_string = JoinString.of_text(read_given("--token", options.token))
    name = options.name or node_name_of(platform.node())
    host = advertised_host(options.advertise_address) if options.advertise_address else None
    _end_running(folder)
    home = join(folder, options.address, join_string, name, host)
    assert home.record is not None
    print(f"admitted as {home.record.name}, at {home.record.host}; starting Ray", file=sys.stderr, flush=True)
    return home


def _followed(options: argparse.Namespace, home: Home) -> Home:
    """The head of this node is elsewhere now."""
    from cluster.membership.returning import follow_head

    if options.name or options.advertise_address:
        raise UsageError("--token: none given; a machine that has joined keeps name and address without one")
    _end_running(home.folder)
    return follow_head(home, options.address)


def _end_running(folder: Path) -> None:
    """Whoever attends to this machine for a former membership goes first."""
    from cluster.node.joined_state import read_joined
    from cluster.node.processes import end_process

    state = read_joined(folder)
    if state is not None and state.is_attended:
        end_process(state.pid, state.start_ticks)


def _stay(folder: Path, home: Home, *, is_new: bool) -> int:
    """Take part until a signal, or until the head ends it."""
    from cluster.actors.nodes.joined_ray import JoinedRay
    from cluster.membership.participant import Participant
    from cluster.node.joined_state import remove_joined

    ray = JoinedRay(folder)
    participant = Participant(folder, ray, _say)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda number, _: participant.end(signal.Signals(number).name))
    try:
        reason = participant.run(is_patient=not is_new)
    finally:
        ray.end()
        remove_joined(folder)
    _say(f"{home.node} takes part no more ({reason})")
    return 0


def _detached(folder: Path) -> int:
    """Let another process stay, and wait until it has joined."""
    from cluster.node.joined_state import read_joined

    log = folder / LOG
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "cluster", "join"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    deadline = time.monotonic() + DETACHED_WAIT_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise ClusterError(f"join: {_last_line(log)}")
        state = read_joined(folder)
        if state is not None and state.pid == child.pid and state.summary:
            _say(f"joined: {state.summary}; what happens is written to {log}")
            return 0
        time.sleep(POLL_S)
    _say(
        f"join: not done within {DETACHED_WAIT_S:.0f} s; it goes on in the background (process {child.pid}), see {log}"
    )
    return 4


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("cluster: ") if lines else f"the process that was to stay ended; see {log}"


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
