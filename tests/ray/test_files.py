"""Files under a running cluster: what is served does not change with them, and the next `up` says what has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import cluster
from cluster.demo import model_path
from tests.conftest import CliHome, UpCluster

pytestmark = pytest.mark.ray

PROMPT = "Once upon a time"


def text(home: CliHome) -> str:
    with cluster.connect(home.address, home.client_secret) as client:
        return client.generate(PROMPT, temperature=0.0, max_tokens=24, ignore_eos=True).text


def test_a_model_that_is_written_over_goes_on_as_it_was(up_cluster: UpCluster, tmp_path: Path) -> None:
    """One stage serves the user's own file, with no copy of it in the store."""
    model = tmp_path / "model.gguf"
    shutil.copyfile(model_path(), model)
    with up_cluster(str(model), "--stages", "1") as home:
        before = text(home)
        data = bytearray(model.read_bytes())
        data[-2000:] = bytes(2000)
        model.write_bytes(data)
        assert text(home) == before
        again = home.run("up", str(model), "--stages", "1")
        assert again.returncode == 2
        assert f"cluster: {model}: not the model any more that the cluster serves: it has hash " in again.stderr
        assert again.stderr.endswith("put that back, or run cluster down, then cluster up\n")
        status = home.run("status")
        assert status.returncode == 0
        assert status.stderr.startswith(f"warning: {model}: is not the file any more that the cluster loaded")
        os.truncate(model, 0)
        assert text(home) == before
        model.unlink()
        assert text(home) == before
        gone = home.run("up", str(model), "--stages", "1")
        assert gone.returncode == 0
        assert f"warning: {model}: cannot be opened: No such file" in gone.stderr
        assert "already up and ready" in gone.stderr
