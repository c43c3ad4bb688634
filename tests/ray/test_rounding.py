"""A real cluster of a model whose slices round otherwise than the whole of it: only for whoever allows that."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import cluster
from tests.conftest import UpCluster
from tests.native.arch_models import write_spoken
from tests.reference import WholeModel

FLAGS = ("--devices", "CPU,CPU", "--layers", "0-31,32-63", "-c", "64", "-np", "2", "-t", "1")
WHY = "slices add a layer's parts up in another order"
CLOSE = 3e-6  # of the largest logit: see tests/native/test_rounding.py


def test_it_is_cut_where_that_is_allowed_and_says_by_how_much_it_rounds(tmp_path: Path, up_cluster: UpCluster) -> None:
    path = write_spoken(tmp_path / "large.gguf", "command-r-plus")
    with up_cluster(str(path), *FLAGS, "--allow-rounding") as home:
        cuts = home.run("cuts", str(path))
        assert "may be cut in front of none" in cuts.stdout
        assert "give --allow-rounding to cut it all the same" in cuts.stdout
        refused = home.run("plan", str(path), *FLAGS)
        assert refused.returncode == 2
        assert f"stages: 2, but {WHY}" in refused.stderr
        planned = home.run("plan", str(path), *FLAGS, "--allow-rounding")
        assert planned.returncode == 0, planned.stderr
        assert f"rounding  {WHY}" in planned.stdout
        verified = home.run("verify")  # of the cluster that is up, with what was allowed there
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "rounded otherwise, " in verified.stdout
        assert "DIFFERENT" not in verified.stdout
        with cluster.connect(home.address, home.client_secret) as client:
            tokens = np.random.default_rng(1).integers(3, 128, 20).tolist()
            found = client.logits(tokens)
    whole = WholeModel(path, 64)
    wanted = whole.forward(tokens)
    whole.close()
    assert 0 < np.abs(found - wanted).max() < CLOSE * np.abs(wanted).max()
