"""The measured cluster: started by `cluster up` in a state directory of its own, and surely taken down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.api.errors import CapacityError, ClusterError, UnreachableError, UsageError
from cluster.api.status import ClusterStatus
from cluster.bench.http_target import HttpTarget
from cluster.bench.measure import Subject
from cluster.bench.settings import BenchSettings
from cluster.client.sync import connect
from cluster.config import ClusterConfig
from cluster.node.disk import safe_tempdir
from cluster.node.ports import listening_pid

DOWN_TIMEOUT_S = 60
BY_EXIT_CODE = {kind.exit_code: kind for kind in (UsageError, CapacityError, UnreachableError)}


@contextmanager
def measured_cluster(arguments: list[str]) -> Iterator[Subject]:
    """A cluster that `cluster up` starts with `arguments`; down at the end, also when this process is killed."""
    state_home = tempfile.mkdtemp(prefix="cluster-bench-", dir=safe_tempdir())
    # Its own session: an interrupt from the terminal must not end it before its work.
    guard = subprocess.Popen(
        [sys.executable, "-m", "cluster.bench.guard", state_home],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address, instance, base = _up(arguments, state_home)
        secret = Path(state_home) / "ggml-cluster" / "client-secret"
        with connect(address, secret) as client:
            status = client.status()
            http = None
            if base:
                pid = listening_pid(instance, base.partition("//")[2])
                http = HttpTarget(base, pid, address, secret, status.vocab_size)
            yield Subject(client, status.vocab_size, len(status.stages), instance, http)
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        if guard.wait(DOWN_TIMEOUT_S) != 0:  # it was killed, or failed: then it is for us to do
            _down(state_home)


def up_arguments(settings: BenchSettings) -> list[str]:
    """The arguments of `cluster up` for these settings."""
    flags = {
        "--ctx-size": settings.num_context_tokens,
        "--parallel": settings.num_slots,
        "--draft": settings.draft,
        "--max-waiting": settings.serve.num_prompts if settings.serve else None,
        "--http": "127.0.0.1:0" if settings.http else "off",
    }
    return [
        settings.model,
        *_given(_machine_flags(settings) | flags),
        *_rounding(settings),
        *([] if settings.lends_cores else ["--no-lend-cores"]),
    ]


def cluster_config(settings: BenchSettings, status: ClusterStatus) -> ClusterConfig:
    """What `cluster up` made of those arguments: the settings of the cluster with this status."""
    devices = tuple(stage.device for stage in status.stages)
    given = {
        "draft": settings.draft,
        "threads": settings.threads,
        "ubatch_size": settings.ubatch_size,
        "cache_type_k": settings.cache_type_k,
        "cache_type_v": settings.cache_type_v,
        "flash_attn": settings.flash_attn,
    }
    return ClusterConfig(
        model=settings.model,
        stages=len(devices),
        devices=devices,
        ctx_size=status.context_length,
        parallel=status.num_slots,
        lend_cores=settings.lends_cores,
        allow_rounding=settings.allows_rounding,
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )


def chunking_arguments(settings: BenchSettings, context_length: int, pipelined: bool) -> list[str]:
    """The arguments for a cluster of the same stages with one slot of so many tokens.

    Each stage keeps to its own cores, as it does where every stage has a machine: on one host they would
    otherwise take turns with all of them, and there would be nothing to gain.
    """
    flags = {"--ctx-size": context_length, "--parallel": 1, "--http": "off"}
    return [
        settings.model,
        *_given(_machine_flags(settings) | flags),
        *_rounding(settings),
        "--no-lend-cores",
        *([] if pipelined else ["--no-pipeline-prompts"]),
    ]


def _machine_flags(settings: BenchSettings) -> dict[str, object]:
    return {
        "--stages": settings.stages,
        "--devices": settings.devices,
        "--threads": settings.threads,
        "--ubatch-size": settings.ubatch_size,
        "--cache-type-k": settings.cache_type_k,
        "--cache-type-v": settings.cache_type_v,
        "--flash-attn": settings.flash_attn,
    }


def _rounding(settings: BenchSettings) -> list[str]:
    return ["--allow-rounding"] if settings.allows_rounding else []


def _given(flags: dict[str, object]) -> list[str]:
    return [part for flag, value in flags.items() if value is not None for part in (flag, str(value))]


def _down(state_home: str) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": state_home}
    command = [sys.executable, "-m", "cluster", "down"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"bench: its cluster could not be taken down ({done.stderr.strip()}); see {state_home}")
    shutil.rmtree(state_home, ignore_errors=True)


def _up(arguments: list[str], state_home: str) -> tuple[str, str, str]:
    """Address and instance of the cluster, once it is up, and the base of its HTTP server; "" for none."""
    environment = {**os.environ, "XDG_STATE_HOME": state_home}
    command = [sys.executable, "-m", "cluster", "up", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"cluster up ended with {done.returncode}"]
        raise BY_EXIT_CODE.get(done.returncode, ClusterError)(lines[-1].removeprefix("cluster: "))
    state = json.loads((Path(state_home) / "ggml-cluster" / "cluster.json").read_text(encoding="utf-8"))
    return str(state["address"]), str(state["instance"]), str(state.get("http", ""))
