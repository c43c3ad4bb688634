"""`cluster doctor` beside a cluster that is up, and beside one that lost a stage."""

from __future__ import annotations

import json
import os
import signal

from tests.conftest import CliHome, UpCluster


def checks(home: CliHome) -> dict[str, dict[str, str]]:
    done = home.run("doctor", "-o", "json")
    found = {check["name"]: check for check in json.loads(done.stdout)}
    failed = any(check["verdict"] == "fail" for check in found.values())
    assert done.returncode == int(failed), done.stderr
    return found


def test_a_cluster_that_is_up_is_looked_at_too(up_cluster: UpCluster) -> None:
    with up_cluster("--demo", "--stages", "2", "-c", "64", "-np", "2", "--no-repair") as home:
        found = checks(home)
        assert [name for name, check in found.items() if check["verdict"] == "fail"] == []
        for name in ("cluster", "stage 0", "stage 1", "stage 0 library", "stage 1 library", "model hash", "port"):
            assert found[name]["verdict"] == "ok"
        assert found["port"]["found"] == f"the cluster listens on {home.address}"

        stages = json.loads(home.run("status", "-o", "json").stdout)["stages"]
        os.kill(stages[1]["pid"], signal.SIGKILL)
        found = checks(home)
        assert found["cluster"]["verdict"] == "fail"
        assert "run cluster up to repair" in found["cluster"]["advice"]
