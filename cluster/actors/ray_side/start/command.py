"""Runs `ray start`, and says in one line why it failed: Ray itself says it in fifty, or in the files of its logs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.api.errors import ClusterError
from cluster.node.run_folder import ray_folder
from cluster.terminal.printable import printable

OBJECT_STORE_BYTES = 100 * 2**20  # nothing of ours goes through Ray's object store
START_TIMEOUT_S = 60
MAX_LOG_BYTES = 64 * 1024  # that are looked through at the end of one of Ray's logs
_EXCEPTION = re.compile(r"(?:[\w.]+\.)?(\w*(?:Error|Exception|Timeout)): (.+)")
# "[2026-01-31 23:59:59,123 E 4194304 4194304] (raylet) main.cc:1140: why", where E and C are what ended it.
_LOGGED = re.compile(r"\[[^\]]* ([A-Z]) \d+ \d+\](?: \(\w+\))? [\w./]+:\d+: (.+)")
_SEVERE = "ECF"


def run_ray_start(run_folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Start Ray's processes here; they outlive this one. ClusterError that says why it cannot be.

    What was started by then is still there, and is ended by its mark.
    """
    ray = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
    command = [ray, "start", *arguments, f"--temp-dir={ray_folder(run_folder)}"]
    command += ["--include-log-monitor=false", "--disable-usage-stats"]
    command += ["--num-gpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=START_TIMEOUT_S,
            check=False,
            start_new_session=True,  # neither Ctrl-C nor a closed terminal is meant for it
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"") if isinstance(error.stderr, bytes | None) else error.stderr.encode()
        reason = last_logged(said.decode(errors="replace")) or "it says nothing"
        raise ClusterError(f"ray start: not done within {START_TIMEOUT_S} s ({reason}); try again") from error
    except OSError as error:
        raise ClusterError(f"ray start: {error}; is ray installed in this environment?") from error
    if done.returncode != 0:
        reason = why_failed(f"{done.stdout}\n{done.stderr}")
        if logged := _logged_by_processes(run_folder):
            reason = f"{reason}: {logged}"
        raise ClusterError(f"ray start: failed ({reason}); its logs were in {ray_folder(run_folder)}")


def why_failed(output: str) -> str:
    """What Ray's command said last of why it failed: its exception, without what it advises."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in reversed(lines):
        if found := _EXCEPTION.fullmatch(line):
            return printable(found[2].partition(". ")[0].rstrip(".") or found[1])
    return last_logged(output) or (printable(lines[-1]) if lines else "no output")


def last_logged(text: str, severities: str = "WECF") -> str:
    """The last line of a log that is at least a warning; "" where there is none."""
    for line in reversed(text.splitlines()):
        found = _LOGGED.match(line.strip())
        if found and found[1] in severities:
            return printable(found[2].rstrip("."))
    return ""


def _logged_by_processes(run_folder: Path) -> str:
    """What the GCS or the raylet logged at its end; "" where there is nothing."""
    logs = ray_folder(run_folder) / "session_latest" / "logs"
    for name in ("raylet.out", "raylet.err", "gcs_server.out", "gcs_server.err"):
        try:
            with open(logs / name, "rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - MAX_LOG_BYTES))
                text = file.read(MAX_LOG_BYTES).decode(errors="replace")
        except OSError:
            continue
        if found := last_logged(text, _SEVERE):
            return found
    return ""
