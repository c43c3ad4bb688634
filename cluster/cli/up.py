"""``cluster up``: start, repair or report the cluster."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from cluster.api.errors import ClusterError, UsageError
from cluster.cli.hidden import hide
from cluster.cli.settings import (
    PLAN_SETTINGS,
    UP_SETTINGS,
    add_plan_flags,
    add_setting_flags,
    given_settings,
    with_projector,
)
from cluster.terminal.printable import printable

if TYPE_CHECKING:
    from cluster.actors.lifecycle import Lifecycle
    from cluster.config import ClusterConfig
    from cluster.terminal.progress import ProgressLines

WATCH_INTERVAL_S = 1.0
# Beside a supervisor, which repairs within a second or two and which Ray starts again where it dies, nothing is done
# here before so many looks in a row have found something.
MOST_LOOKS = 5


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "up",
        help="start a cluster that serves a model",
        description="Place, cut and load the model, wait until a token has gone through all stages, and return.",
    )
    add_plan_flags(parser, "the model to serve")
    add = parser.add_argument
    add("--plan", metavar="FILE", help="serve the plan that cluster plan -o json wrote")
    add("--verify", action="store_true", help="read the stored slices first; what is not as written is cut again")
    add("--list-devices", action="store_true", help="print the devices of this machine and exit")
    add_setting_flags(parser, UP_SETTINGS)
    add(
        "--foreground",
        action="store_true",
        help="stay, start anew what no supervisor can (Ray itself), and take the cluster down on SIGTERM",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.list_devices:
        return _list_devices()
    hide("--api-key", sys.argv[1:])
    if options.foreground:
        # A service may be told to stop while it starts; what it has started by then is ended on the way out.
        signal.signal(signal.SIGTERM, _leave)
    from cluster.config import WATCHED_PATIENCE, load_config

    settings = _settings(options)
    # Without a model it is about the cluster there already is: report it, or repair it.
    about_remembered = not options.config and all(value is None for value in settings.values())
    config = None if about_remembered else with_projector(load_config(options.config, settings))
    if config is not None and config.patience is None and options.foreground:
        config = replace(config, patience=WATCHED_PATIENCE)

    from cluster.actors.lifecycle import Lifecycle
    from cluster.terminal.progress import ProgressLines

    progress = ProgressLines(sys.stderr)
    if options.verify:
        _verify(config, progress)
    lifecycle = Lifecycle(progress)
    outcome = lifecycle.up(config)
    _report(outcome.note, outcome.address, outcome.http)
    return _stay(lifecycle) if options.foreground else 0


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """The flags as settings, and those of the plan file: None where neither says anything."""
    settings = given_settings(options, (*PLAN_SETTINGS, *UP_SETTINGS))
    if options.plan is None:
        return settings
    from cluster.planning.plan_file import checked_settings

    if options.config:
        raise UsageError("plan: it holds all settings of a plan already; leave --config out")
    # Other machines join later; whether they are those of the plan shows then.
    is_shared = bool(settings["advertise_address"]) or (settings["nodes"] or 1) > 1
    return checked_settings(options.plan, settings, are_nodes_there=not is_shared)


def _verify(config: ClusterConfig | None, progress: ProgressLines) -> None:
    """Read the stored slices of the model, so that what is damaged is cut again."""
    from cluster.node.state import read_state
    from cluster.sources.opening import open_model
    from cluster.sources.resolve import resolve
    from cluster.store.slices import SliceStore

    state = read_state()
    if config is not None:
        model_hash = open_model(resolve(config.model)).hash
    elif state is not None:
        model_hash = state.model_hash
    else:
        return
    for item, is_sound in SliceStore().verify(model_hash):
        progress.note(f"stored slice {item.layers}: {'as written' if is_sound else 'damaged, it will be cut again'}")


def _list_devices() -> int:
    from worker_native import devices

    for device in devices():
        total, free = device.memory_total_bytes / 2**30, device.memory_free_bytes / 2**30
        print(f"{device.name:10} {device.kind:6} {free:7.1f} of {total:7.1f} GiB free  {device.description}")
    return 0


def _stay(lifecycle: Lifecycle) -> int:
    """Serve until SIGTERM or SIGINT; repair what is lost, as far as no supervisor does.

    A repair is a process of its own, because Ray puts its signal handlers in the place of ours.
    """
    from cluster.actors.lifecycle import repair_is_due
    from cluster.config import config_of
    from cluster.node.state import read_state

    stopping, hurrying = threading.Event(), threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: (hurrying if stopping.is_set() else stopping).set())
    num_looks = 0
    try:
        while not stopping.wait(WATCH_INTERVAL_S):
            state = read_state()
            if state is None:  # somebody else took it down
                return 0
            num_looks = num_looks + 1 if repair_is_due(state) else 0
            if num_looks > (MOST_LOOKS if config_of(state.config).repair else 0):
                num_looks = 0
                subprocess.call([sys.executable, "-m", "cluster", "up"])
    finally:
        _let_end(hurrying)
        if read_state() is not None:
            print(lifecycle.down(), file=sys.stderr)
    return 0


def _let_end(hurrying: threading.Event) -> None:
    """Give the requests that are open time to end; whoever asks a second time to stop ends that."""
    from cluster.actors.asking.own_status import status_at
    from cluster.config import config_of
    from cluster.node.state import read_state

    state = read_state()
    if state is None:
        return
    try:
        drain, status = config_of(state.config).drain, status_at(state.address)
    except ClusterError:
        return
    if not status.num_slots_used + status.num_waiting:
        return
    print(f"letting running requests end, for {drain} at most; once more ends them", file=sys.stderr)
    # In a process of its own, as repairs are, and in a session of its own: a terminal's Ctrl-C is for this one.
    command = [sys.executable, "-m", "cluster", "down", "--drain", drain]
    with subprocess.Popen(command, start_new_session=True) as down:
        while down.poll() is None:
            if hurrying.wait(0.1):
                down.terminate()
                return


def _report(note: str, address: str, http: str) -> None:
    from cluster.client.sync import connect
    from cluster.node.kept_secrets import client_secret_path
    from cluster.terminal.table import print_status

    with connect(address, client_secret_path()) as client:
        print(printable(note), file=sys.stderr)
        status = client.status()
        print_status(status, wide=False)
    if status.is_program:
        ask, call = "cluster run --input NAME=FILE.npy", "model().metadata"
    else:
        ask, call = 'cluster run "Once upon a time"', 'generate("Once").text'
    if http:
        print(f"\nhttp     {http}/v1\npage     {http}", file=sys.stderr, end="")
    print(
        f"\nask      {ask}\n"
        f"connect  python -c 'import cluster; print(cluster.connect(\"{address}\").{call})'\n"
        f"watch    cluster status -w\n"
        f"stop     cluster down",
        file=sys.stderr,
    )
