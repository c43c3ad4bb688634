"""All looks in order: what every machine needs, then the model, then the cluster that is up."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

from cluster.api.errors import ClusterError
from cluster.api.nodes import NodeStatus
from cluster.api.status import ClusterStatus
from cluster.config import ClusterConfig, config_of
from cluster.doctor.check import Check, fail, ok, warn
from cluster.doctor.library import check_library
from cluster.doctor.link import check_loopback
from cluster.doctor.memory import check_machine_memory, check_model_fits
from cluster.doctor.model import check_model
from cluster.doctor.nodes import check_nodes
from cluster.doctor.ports import check_ports
from cluster.doctor.survey import check_survey
from cluster.doctor.versions import check_stage_versions, check_versions
from cluster.node.kept_secrets import client_secret_path
from cluster.node.state import ClusterState, read_state, state_path


def diagnose(
    config: ClusterConfig | None, port: int, ask_nodes: Callable[[], Sequence[NodeStatus]] | None = None
) -> Iterator[Check]:
    """Line by line. `config` None: the settings of the cluster that is up, if there is one.

    `ask_nodes`: the machines of the cluster that this one is a node of, with the links between them.
    """
    yield from check_versions()
    checks, found = check_library()
    yield from checks
    yield from check_machine_memory()
    state, checks = _remembered()
    yield from checks
    status, checks = _cluster(state)
    yield from checks
    yield from check_ports(port, state.address if state else "")
    yield from check_loopback()
    yield from check_nodes(state_path().parent)
    if ask_nodes is not None:
        yield from _surveyed(ask_nodes)
    if status is not None:
        yield from check_stage_versions(status.stages, platform.node())
    is_of_cluster = config is None and state is not None
    if is_of_cluster and state is not None:
        config = config_of(state.config)
    if config is not None:
        checks = check_model(config.model, status if is_of_cluster else None)
        yield from checks
        if found is not None and all(check.verdict != "fail" for check in checks):
            yield from _fits(config, is_up=is_of_cluster and status is not None)


def _surveyed(ask_nodes: Callable[[], Sequence[NodeStatus]]) -> list[Check]:
    try:
        return check_survey(ask_nodes(), version("ggml-cluster"))
    except ClusterError as error:
        return [fail("nodes", str(error), "run cluster up to repair, on the head")]


def _remembered() -> tuple[ClusterState | None, list[Check]]:
    try:
        return read_state(), []
    except ClusterError as error:
        return None, [fail("state", str(error), "delete that file if no cluster runs")]


def _cluster(state: ClusterState | None) -> tuple[ClusterStatus | None, list[Check]]:
    if state is None:
        return None, [ok("cluster", "none was started on this machine")]
    if not state.ready:
        return None, [warn("cluster", "an earlier start did not finish", "run cluster up again, or cluster down")]
    from cluster.client.sync import connect

    try:
        with connect(state.address, client_secret_path()) as client:
            client.status()
            start_s = time.perf_counter()
            status = client.status()
            answer_ms = 1e3 * (time.perf_counter() - start_s)
    except ClusterError as error:
        return None, [fail("cluster", str(error), "run cluster up to repair")]
    if not status.health.is_ready:
        return status, [fail("cluster", status.state, "run cluster up to repair")]
    stages = [
        ok(f"stage {stage.stage}", f"ready on {stage.node}/{stage.device}")
        if stage.facts.health.is_ready
        else fail(f"stage {stage.stage}", stage.state, "run cluster up to repair")
        for stage in status.stages
    ]
    return status, [ok("cluster", f"ready; all stages and the coordinator answered in {answer_ms:.1f} ms"), *stages]


def _fits(config: ClusterConfig, is_up: bool) -> list[Check]:
    try:
        return check_model_fits(config, is_up)
    except ClusterError as error:
        return [fail("model memory", str(error), "see: cluster plan")]
