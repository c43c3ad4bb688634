"""``cluster train``: run a script on several workers that train one model together."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from cluster.api.errors import ClusterError, UsageError

MAX_WORKERS = 64
DEFAULT_RESTARTS = 3
IN_CLUSTER = "cluster"  # as an address of Ray: that of the cluster which this machine takes part in


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "train",
        help="run a training script on several workers",
        description="Run SCRIPT on every worker, each a process of its own, here or on the nodes of a Ray cluster. "
        "In the script, cluster.train has their ranks and what they exchange. If a worker dies, all begin the script "
        "again: let it load its newest checkpoint.",
        usage="%(prog)s [-h] SCRIPT [--workers N] [--max-restarts N] [--address RAY] [--nodes N] [--insecure] "
        "[-- ARG ...]",
    )
    parser.add_argument("script", metavar="SCRIPT", help="a Python file; what stands behind -- is given to it")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument(
        "--max-restarts",
        type=int,
        default=DEFAULT_RESTARTS,
        metavar="N",
        help="how often all begin again when a worker has died (default: %(default)s)",
    )
    parser.add_argument(
        "--address",
        metavar="RAY",
        help="run in this Ray (host:port, or auto), or in that of the cluster which "
        "is up here (cluster), instead of a local one",
    )
    parser.add_argument(
        "--nodes", type=int, metavar="N", help="of that Ray; waits until it has as many (default: those there are)"
    )
    parser.add_argument("--insecure", action="store_true", help="encrypt nothing between the machines")
    parser.set_defaults(run=run)


def split_off(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Those of ``cluster train`` itself, and those for its script: argparse would take flags behind -- for its own."""
    if arguments[:1] != ["train"] or "--" not in arguments:
        return arguments, ()
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def run(options: argparse.Namespace) -> int:
    script = Path(options.script)
    if not 1 <= options.workers <= MAX_WORKERS:
        raise UsageError(f"--workers: {options.workers}; give 1 to {MAX_WORKERS}")
    if options.max_restarts < 0:
        raise UsageError(f"--max-restarts: {options.max_restarts}; give 0 or more")
    if not script.is_file():
        raise UsageError(f"{script}: no such file; give the path of a Python script")
    from cluster.actors.ground.foreign import asked_for

    in_cluster = options.address == IN_CLUSTER
    ray = None if in_cluster else asked_for(options.address)
    if options.nodes is not None and not 1 <= options.nodes <= MAX_WORKERS:
        raise UsageError(f"--nodes: {options.nodes}; give 1 to {MAX_WORKERS}")
    if ray is None and not in_cluster and (options.nodes or 1) > 1:
        raise UsageError("--nodes: a Ray of our own is one machine; give --address of one that has several")
    from cluster.actors.training.run import Asked, train

    signal.signal(signal.SIGTERM, _end)
    asked = Asked(
        script.resolve(),
        options.for_script,
        options.workers,
        options.max_restarts,
        ray,
        options.nodes,
        in_cluster=in_cluster,
        is_secure=not options.insecure,
    )
    failure = train(asked, _note, _show)
    if failure:
        raise ClusterError(failure.rstrip())
    return 0


def _end(number: int, frame: object) -> NoReturn:
    """As Ctrl-C: what was started is ended."""
    raise KeyboardInterrupt


def _note(text: str) -> None:
    print(f"train: {text}", file=sys.stderr, flush=True)


def _show(rank: int, text: str) -> None:
    """What rank 0 prints stands as it is; the lines of others say whose they are."""
    if rank:
        text = "".join(f"[rank {rank}] {line}" for line in text.splitlines(keepends=True))
    sys.stdout.write(text)
    sys.stdout.flush()
