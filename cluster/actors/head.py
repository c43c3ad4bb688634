"""Starts a Ray head for this machine alone, and knows how to reach one that is already there."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.errors import ClusterError, UnreachableError
from cluster.processes import MARK

OBJECT_STORE_BYTES = 100 * 2**20  # nothing of ours goes through Ray's object store
START_TIMEOUT_S = 60
MAX_TEMP_DIR_CHARS = 40  # Ray puts Unix sockets below it, whose paths end at 107 bytes


def temp_dir_path(instance: str) -> Path:
    """Where Ray keeps sockets, logs and the token of this instance."""
    parent = tempfile.gettempdir()
    return Path(parent if len(parent) <= MAX_TEMP_DIR_CHARS - 22 else "/tmp") / f"ggml-cluster-{instance[:8]}"


def _make_temp_dir(path: Path) -> None:
    """Only the owner may look into it: who has the token may run code as this user."""
    path.mkdir(mode=0o700)
    (path / "token").touch(mode=0o600)
    (path / "token").write_text(secrets.token_hex(32), encoding="ascii")


def use_head(temp_dir: Path) -> None:
    """Make this process find the head and present its token; must run before `ray` is imported."""
    os.environ.update(_shared_environment(temp_dir))


def _shared_environment(temp_dir: Path) -> dict[str, str]:
    """What the head, its actors and its drivers must agree on."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(temp_dir / "token"),
        # Despite its name: 127.0.0.1 stays 127.0.0.1, instead of becoming this machine's outer address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    }


def start_head(instance: str, temp_dir: Path, num_cpus: int) -> str:
    """Start Ray on the loopback interface and return ``host:port``. It outlives this process.

    The environment is inherited by every actor: the mark, the token, no lowered priority (Ray starts actors at
    nice 15), and all GPUs visible to actors that ask for none of Ray's (the stages name ggml devices themselves).
    """
    _make_temp_dir(temp_dir)
    environment = {
        **os.environ,
        **_shared_environment(temp_dir),
        MARK: instance,
        "RAY_worker_niceness": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "GGML_NO_BACKTRACE": "1",
    }
    environment.pop("RAY_ADDRESS", None)
    ray = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
    command = [ray, "start", "--head", "--port=0", "--node-ip-address=127.0.0.1", f"--temp-dir={temp_dir}"]
    command += ["--include-dashboard=false", "--include-log-monitor=false", "--disable-usage-stats"]
    command += [f"--num-cpus={num_cpus}", "--num-gpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    command += [f"--ray-client-server-port={_free_port()}"]
    try:
        done = subprocess.run(
            command,
            env=environment,
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
        raise ClusterError(f"ray start: failed ({lines[-1].strip()}); its logs were in {temp_dir}")
    return (temp_dir / "ray_current_cluster").read_text(encoding="ascii").strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def running_head(address: str | None) -> str | None:
    """The Ray head to attach to: `address`, else RAY_ADDRESS, else the one Ray notes in its own temporary folder.

    Returns None where there is none and a local one is to be started. ``auto`` and an address that was asked
    for must exist: UnreachableError otherwise.
    """
    asked = address or os.environ.get("RAY_ADDRESS")
    noted = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    if asked and asked != "auto":
        if not _answers(asked):
            raise UnreachableError(f"Ray at {asked}: does not answer; start it there with: ray start --head")
        return asked
    found = noted.read_text(encoding="ascii").strip() if noted.is_file() else ""
    if found and _answers(found):
        return found
    if asked:
        raise UnreachableError("Ray: none runs on this machine; leave --address out to start one")
    return None


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except (OSError, ValueError):
        return False
