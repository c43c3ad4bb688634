"""`cluster verify` without a model is about the cluster that is up."""

from __future__ import annotations

from tests.conftest import UpCluster


def test_the_cluster_that_is_up_is_verified_too(up_cluster: UpCluster) -> None:
    with up_cluster("--demo", "--layers", "0-2,3-7", "-c", "128", "-np", "2", "-t", "1") as home:
        done = home.run("verify")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "rows in front of layer 3  0            equal" in done.stdout
        assert f"against the cluster at {home.address}:" in done.stdout
        assert done.stdout.count("logits") == 2
        assert "greedy agreement: 32 of 32 rows (100.0%)" in done.stdout
