"""``make demo``: the commands a new user would type, with what they print.

    python -m cluster.demo.tour

A state directory of its own keeps it away from a cluster that is already up.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile

from cluster.node.disk import safe_tempdir

PROMPT = "Once upon a time"
COMMANDS = (
    ["up", "--demo", "--stages", "2"],
    ["run", PROMPT, "--seed", "7", "-n", "200", "--verbose"],
    ["status"],
)


def main() -> int:
    """Run the tour; the cluster is taken down whatever happens. Returns the first failing exit code, or 0."""
    with tempfile.TemporaryDirectory(prefix="ggml-cluster-demo-", dir=safe_tempdir()) as state_home:
        environment = {**os.environ, "XDG_STATE_HOME": state_home}
        environment.pop("CLUSTER_ADDRESS", None)
        try:
            return next((code for command in COMMANDS if (code := _run(command, environment))), 0)
        finally:
            _run(["down"], environment)


def _run(command: list[str], environment: dict[str, str]) -> int:
    print(f"\n$ cluster {shlex.join(command)}", flush=True)
    return subprocess.call([sys.executable, "-m", "cluster", *command], env=environment)


if __name__ == "__main__":
    sys.exit(main())
