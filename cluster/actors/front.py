"""The HTTP server that stands before a cluster: where it is to listen, and that it does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cluster.api.errors import UsageError
from cluster.config import ClusterConfig
from cluster.http.port import chosen_port
from cluster.http.settings import HttpSettings
from cluster.node.http_health import answers_http
from cluster.node.state import ClusterState, read_state, write_state
from cluster.wire.transport.channel import check_port_free

if TYPE_CHECKING:
    from cluster.actors.driver.launch import Launch


def check_front(config: ClusterConfig) -> None:
    """Before anything is started: a port that was asked for is free, files can be read. UsageError."""
    where = config.http_address
    if where is None:
        return
    if where.port:
        check_port_free(where.host, where.port)
    HttpSettings.of(config, where.host, where.port or 0)


def prepare_front(launch: Launch, config: ClusterConfig, state: ClusterState) -> bool:
    """Have the server's process start, if one is wanted."""
    where = config.http_address
    if where is None:
        return False
    port = (where.port is None and _former_port(state, where.host)) or chosen_port(where)
    launch.http.prepare(HttpSettings.of(config, where.host, port))
    return True


def open_front(launch: Launch, config: ClusterConfig) -> str:
    """Let the prepared server listen, and remember where. UsageError for a port that was asked for and is taken."""
    state = read_state()
    where = config.http_address
    assert state is not None and where is not None, "the cluster that is up is remembered, and so is its server"
    for is_last in (False, False, True):
        try:
            base = launch.http.open()
            break
        except UsageError:
            if is_last or where.port is not None:
                raise
            # Somebody has taken the port since it was chosen, such as another cluster that starts now.
            launch.http.prepare(HttpSettings.of(config, where.host, chosen_port(where)))
    write_state(replace(state, http=base))
    return base


def is_front_lost(config: ClusterConfig, state: ClusterState) -> bool:
    """Whether there should be a server that answers, and is none."""
    return config.http_address is not None and not state.is_program and not (state.http and answers_http(state.http))


def _former_port(state: ClusterState, host: str) -> int | None:
    """Of the server that was there before, which may be there still."""
    return urlsplit(state.http).port if state.http and urlsplit(state.http).hostname == host else None
