"""What the processes of a Ray of ours, and those that speak to it, find in their environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.node.disk import disk_error
from cluster.node.home import Home
from cluster.node.private import read_private, write_private
from cluster.node.processes import MARK
from cluster.node.run_folder import check_run_folder
from cluster.trust.identity import CA_FILE, CERTIFICATE_FILE, KEY_FILE

TOKEN = "token"
HOME = "GGML_CLUSTER_HOME"  # tells actors where the home of their node is
DO_WITHOUT_RAY_S = 10**6  # eleven days; Ray counts it in milliseconds, which have to fit into 31 bits
# A node that says nothing is given up after two and a half minutes: shorter cuts are healed by a new epoch over the
# same stages, which is far less than loading them elsewhere.
HEALTH_CHECK = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "5000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "10",
}


def use_ray(run_folder: Path, home: Home | None = None) -> None:
    """Make this process find our Ray and present its token; must run before `ray` connects.

    `home`: that of this node; None for a machine alone. ClusterError where anybody else could have put another token
    in its place.
    """
    check_run_folder(run_folder)
    _check_token(run_folder)
    for name in left_over(os.environ):
        del os.environ[name]
    os.environ.update(shared_environment(run_folder, home))


def use_foreign() -> None:
    """Tell Ray whether it is to show a token; must run before `ray` connects.

    As Ray itself decides where nothing is said: a token that this user has is shown.
    """
    given = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    has_token = given or os.path.isfile(os.path.expanduser("~/.ray/auth_token"))
    os.environ.setdefault("RAY_AUTH_MODE", "token" if has_token else "disabled")


def keep_token(run_folder: Path, token: str) -> None:
    """Write down what the nodes of one Ray know each other by. ClusterError."""
    check_run_folder(run_folder)
    try:
        write_private(run_folder / TOKEN, token.encode("ascii"))
    except OSError as error:
        raise disk_error(run_folder, error, "set TMPDIR") from error


def kept_token(run_folder: Path) -> str:
    """The token that `keep_token` wrote. ClusterError unless it is there and ours alone."""
    return _check_token(run_folder).decode("ascii", "replace").strip()


def node_environment(instance: str, run_folder: Path, home: Home | None = None) -> dict[str, str]:
    """For `ray start`; every process of Ray and every actor inherits it.

    The mark, the token, no lowered priority (Ray starts actors at nice 15), and all GPUs visible to actors that ask
    for none of Ray's (the stages name ggml devices themselves).
    """
    kept = {name: value for name, value in os.environ.items() if name not in left_over(os.environ)}
    return {
        **kept,
        **shared_environment(run_folder, home),
        **({} if home is None else {HOME: str(home.folder), **HEALTH_CHECK}),
        MARK: instance,
        # What stages need, and others for the greatest part: imported by workers that are started ahead, too.
        "RAY_preload_python_modules": "cluster.actors.shells.stage_worker",
        "RAY_worker_niceness": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "GGML_NO_BACKTRACE": "1",
        # gRPC, ours and Ray's, writes a line for every handshake that fails: strangers could fill the disk.
        "GRPC_VERBOSITY": "NONE",
        # No token goes through Ray: where it dies, stages and coordinator go on until `up` replaces them.
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(DO_WITHOUT_RAY_S),
        "RAY_raylet_death_check_interval_milliseconds": str(1000 * DO_WITHOUT_RAY_S),
    }


def shared_environment(run_folder: Path, home: Home | None = None) -> dict[str, str]:
    """What Ray's processes, its actors and its drivers must agree on."""
    shared = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(run_folder / TOKEN)}
    if home is None or home.record is None or ip_address(home.record.host).is_loopback:
        # Despite its name: 127.0.0.1 stays 127.0.0.1, instead of becoming this machine's outer address.
        shared["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    if home is not None and home.record is not None and home.record.is_secure:
        shared |= {
            "RAY_USE_TLS": "1",
            "RAY_TLS_CA_CERT": str(home.identity_folder / CA_FILE),
            "RAY_TLS_SERVER_CERT": str(home.identity_folder / CERTIFICATE_FILE),
            "RAY_TLS_SERVER_KEY": str(home.identity_folder / KEY_FILE),
        }
    return shared


def left_over(environment: Mapping[str, str]) -> list[str]:
    """Variables that lead to another Ray (RAY_ADDRESS, RAY_AUTH_TOKEN, RAY_JOB_ID, RAY_TMPDIR, RAY_USE_TLS ...).

    Ray spells where it is and what it is part of in capitals; its settings, such as RAY_memory_usage_threshold, stay.
    """
    names = [name.removeprefix("RAY_") for name in environment if name.startswith("RAY_")]
    return [f"RAY_{name}" for name in names if name.isupper()]


def _check_token(run_folder: Path) -> bytes:
    try:
        return read_private(run_folder / TOKEN)
    except OSError as error:
        raise ClusterError(
            f"{run_folder / TOKEN}: {error.strerror or error}; run cluster down, then up again"
        ) from error
