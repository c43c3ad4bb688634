"""Starts a Ray head for this machine alone, below the cluster's run folder."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.ports import free_port
from cluster.node.private import read_private, write_private
from cluster.node.processes import MARK
from cluster.node.run_folder import check_run_folder, ray_folder

OBJECT_STORE_BYTES = 100 * 2**20  # nothing of ours goes through Ray's object store
START_TIMEOUT_S = 60
TOKEN = "token"
DO_WITHOUT_RAY_S = 10**6  # eleven days; Ray counts it in milliseconds, which have to fit into 31 bits


def use_head(run_folder: Path) -> None:
    """Make this process find the head and present its token; must run before `ray` connects.

    ClusterError where anybody else could have put another token in its place.
    """
    check_run_folder(run_folder)
    _read_token(run_folder)
    for name in _left_over(os.environ):
        del os.environ[name]
    os.environ.update(_shared_environment(run_folder))


def start_head(instance: str, run_folder: Path, num_cpus: int) -> str:
    """Start Ray on the loopback interface and return ``host:port``. It outlives this process.

    The environment is inherited by every actor: the mark, the token, no lowered priority (Ray starts actors at
    nice 15), and all GPUs visible to actors that ask for none of Ray's (the stages name ggml devices themselves).
    """
    check_run_folder(run_folder)
    try:
        write_private(run_folder / TOKEN, secrets.token_hex(32).encode("ascii"))
    except OSError as error:
        raise disk_error(run_folder, error, "set TMPDIR") from error
    try:
        done = subprocess.run(
            _start_command(run_folder, num_cpus),
            env=_head_environment(instance, run_folder),
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
            start_new_session=True,  # neither Ctrl-C nor a closed terminal is meant for it
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"ray start: {error}; is ray installed in this environment?") from error
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no output"]
        raise ClusterError(f"ray start: failed ({lines[-1].strip()}); its logs were in {ray_folder(run_folder)}")
    check_run_folder(run_folder)
    return (ray_folder(run_folder) / "ray_current_cluster").read_text(encoding="ascii").strip()


def _start_command(run_folder: Path, num_cpus: int) -> list[str]:
    ray = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
    command = [ray, "start", "--head", "--port=0", "--node-ip-address=127.0.0.1"]
    command += [f"--temp-dir={ray_folder(run_folder)}"]
    command += ["--include-dashboard=false", "--include-log-monitor=false", "--disable-usage-stats"]
    command += [f"--num-cpus={num_cpus}", "--num-gpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    return [*command, f"--ray-client-server-port={free_port()}"]


def _head_environment(instance: str, run_folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _left_over(os.environ)}
    return {
        **kept,
        **_shared_environment(run_folder),
        MARK: instance,
        "RAY_worker_niceness": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "GGML_NO_BACKTRACE": "1",
        # No token goes through Ray: where it dies, stages and coordinator go on until `up` replaces them.
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(DO_WITHOUT_RAY_S),
        "RAY_raylet_death_check_interval_milliseconds": str(1000 * DO_WITHOUT_RAY_S),
    }


def _shared_environment(run_folder: Path) -> dict[str, str]:
    """What the head, its actors and its drivers must agree on."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(run_folder / TOKEN),
        # Despite its name: 127.0.0.1 stays 127.0.0.1, instead of becoming this machine's outer address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def _left_over(environment: Mapping[str, str]) -> list[str]:
    """Variables that lead to another Ray (RAY_ADDRESS, RAY_AUTH_TOKEN, RAY_JOB_ID, RAY_TMPDIR, RAY_USE_TLS ...).

    Ray spells where it is and what it is part of in capitals; its settings, such as RAY_memory_usage_threshold, stay.
    """
    names = [name.removeprefix("RAY_") for name in environment if name.startswith("RAY_")]
    return [f"RAY_{name}" for name in names if name.isupper()]


def _read_token(run_folder: Path) -> None:
    """ClusterError unless the token is there and ours alone."""
    try:
        read_private(run_folder / TOKEN)
    except OSError as error:
        raise ClusterError(
            f"{run_folder / TOKEN}: {error.strerror or error}; run cluster down, then up again"
        ) from error
