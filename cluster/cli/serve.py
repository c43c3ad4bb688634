"""``cluster serve``: an HTTP server for a cluster that is up, here or elsewhere."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from cluster.api.errors import UsageError
from cluster.cli.hidden import hide
from cluster.cli.settings import HTTP_SETTINGS, add_setting_flags, given_http_settings
from cluster.cli.where import add_address_flags, given_address

if TYPE_CHECKING:
    from cluster.http.service import HttpService

POLL_S = 0.05  # between looks at whether all have ended


def add_parser(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "serve",
        help="serve HTTP for a cluster that is up",
        description="Answer HTTP clients of a cluster that is up, here or elsewhere, until Ctrl-C or SIGTERM. "
        "Answers that are open then have ten seconds to end; a second signal ends them.",
    )
    parser.add_argument("model", nargs="?", help=argparse.SUPPRESS)  # what people who know other tools may type
    add_setting_flags(parser, HTTP_SETTINGS)
    add_address_flags(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.model is not None:
        raise UsageError(f"serve: it serves a cluster that is up; to start one: cluster up {options.model[:200]}")
    hide("--api-key", sys.argv[1:])
    from cluster.config import take_http
    from cluster.http.own_cluster import named_endpoint
    from cluster.http.port import chosen_port
    from cluster.http.service import DRAIN_S, HttpService
    from cluster.http.settings import HttpSettings
    from cluster.http_config import HttpConfig

    given = given_http_settings(options)
    take_http(given)
    config = HttpConfig(**given)
    config.check_http()
    where = config.http_address
    if where is None:
        raise UsageError("http: off leaves nothing to do; give HOST:PORT, or leave it out")
    settings = HttpSettings.of(config, where.host, chosen_port(where))
    service = HttpService(settings, named_endpoint(given_address(options), None))
    signals: SimpleQueue[int] = SimpleQueue()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda number, _: signals.put(number))
    base = service.start()
    print(f"http     {base}/v1\npage     {base}\nstop     Ctrl-C", file=sys.stderr, flush=True)
    leave(service, signals, DRAIN_S)
    return 0


def leave(service: HttpService, signals: SimpleQueue[int], drain_s: float) -> None:
    """Wait for a signal; then for the answers that are open, for `drain_s` at most, or until another signal."""
    signals.get()
    print(
        f"serve: answers that are open have {drain_s:.0f} s to end; once more ends them now",
        file=sys.stderr,
        flush=True,
    )
    draining = threading.Thread(target=service.stop, args=(drain_s,), name="drain")
    draining.start()
    while draining.is_alive():
        with suppress(Empty):
            signals.get(timeout=POLL_S)
            service.stop()
