"""A disk without room is noticed before anything is started."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.api.errors import CapacityError, UsageError
from cluster.config import ClusterConfig
from cluster.cutting.servable import cut_servable, header_plan
from cluster.demo import model_path
from cluster.node.run_folder import make_run_folder
from cluster.planning.any_plan import plan_model
from cluster.store.slices import SliceStore
from tests.fakes.fake_nodes import FakeNodes, fake_node
from tests.fakes.opened import opened

CONFIG = ClusterConfig(model=str(model_path()), stages=2, ctx_size=64)
UNSHARE = ["unshare", "--mount", "--", "sh", "-c"]

needs_mounts = pytest.mark.skipif(
    subprocess.run([*UNSHARE, "mount -t tmpfs none /mnt"], capture_output=True, check=False).returncode != 0,
    reason="file systems cannot be mounted here",
)


@needs_mounts
@pytest.mark.parametrize("full", ["XDG_CACHE_HOME", "TMPDIR", "XDG_STATE_HOME"])
def test_up_on_a_small_disk_is_one_line_and_starts_nothing(full: str, tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("XDG_CACHE_HOME", "TMPDIR", "XDG_STATE_HOME")}
    for folder in folders.values():
        folder.mkdir()
    # Room for one of the two slices of 1.2 MiB, or for Ray's sockets; none at all for a state.
    size = "4k" if full == "XDG_STATE_HOME" else "2m"
    script = f"mount -t tmpfs -o size={size} none {folders[full]} && exec {sys.executable} -m cluster.cli up --demo"
    if full == "TMPDIR":
        script = script.replace(str(folders[full]), "/mnt").replace("&& exec", "&& TMPDIR=/mnt exec")
    environment = {**os.environ, **{name: str(folder) for name, folder in folders.items()}}
    done = subprocess.run([*UNSHARE, script], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("cluster: ")
    assert "starting Ray" not in done.stderr
    assert list(folders["XDG_STATE_HOME"].rglob("*.json")) == []


def test_slices_are_counted_together_and_those_that_are_there_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store, model = SliceStore(), opened(model_path())
    plans = [cut_servable(model.model, 0, 4, model.hash), cut_servable(model.model, 4, 8, model.hash)]
    sizes = [len(plan.header_bytes) + plan.weight_bytes for plan in plans]

    def free(num_bytes: int) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": num_bytes}))

    free(sum(sizes))
    with pytest.raises(CapacityError, match=f"^slice store {store.root}: .* are needed, .* are free; "):
        plan_model(CONFIG)  # the vocabulary is a file of its own
    free(10**9)
    assert plan_model(CONFIG).bounds == (0, 4, 8)
    assert list(store.root.iterdir()) == []
    store.get_slice(model, 0, 4)
    store.get_vocabulary(model)
    assert [store.missing_bytes(plan, model.hash, model.version) for plan in plans] == [0, sizes[1]]
    free(sizes[1])
    plan_model(CONFIG)
    free(sizes[1] - 1)
    with pytest.raises(CapacityError):
        plan_model(CONFIG)
    free(10**9)
    store.get_slice(model, 4, 8)
    free(0)
    plan_model(CONFIG)


def test_only_the_slices_of_this_node_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = opened(model_path())
    plans = [cut_servable(model.model, 0, 4, model.hash), header_plan(model.model)]
    needed = sum(len(plan.header_bytes) + plan.weight_bytes for plan in plans)
    nodes = FakeNodes((fake_node("one"), fake_node("two")))
    config = replace(CONFIG, layers="0-3,4-7")

    def free(num_bytes: int) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": num_bytes}))

    free(needed + 2**10)
    assert plan_model(config, nodes=nodes).bounds == (0, 4, 8)
    free(needed - 1)
    with pytest.raises(CapacityError):
        plan_model(config, nodes=nodes)


def test_a_store_that_cannot_be_written_is_named_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"slice store .*Not a directory; .*set XDG_CACHE_HOME"):
        plan_model(CONFIG)


def test_a_run_folder_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**20}))
    with pytest.raises(CapacityError, match="16,777,216 bytes are needed for Ray's logs, 1,048,576 are free"):
        make_run_folder(tmp_path / "ggml-cluster-0")
