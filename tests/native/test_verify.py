"""`cluster verify` on real slices: it passes what is equal, and it does notice what is not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.cli.command import main
from cluster.config import ClusterConfig
from cluster.cutting.header import read_header
from cluster.planning.inventory import take_inventory
from cluster.store.slices import SliceStore
from cluster.verify import run
from cluster.verify.run import _device_for_whole
from tests.fakes.opened import opened
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.native.arch_models import write_model
from tests.native.tiny_t5 import write_t5

pytestmark = pytest.mark.native

FLAGS = ("--devices", "CPU,CPU", "--layers", "0-1,2-3", "-c", "64", "-np", "2", "-t", "1")
Verify = Callable[..., tuple[int, str]]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Runs `cluster verify` with a store of its own: the exit code, and all that it said."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["verify", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(write_tiny(tmp_path / "tiny.gguf", TinyModel("qwen3", kind="Q8_0", tied=True)))


def damage(model: str, first: int, end: int) -> None:
    """Change one weight in the stored slice, and let the store believe it: as if it had been cut wrong."""
    store = SliceStore()
    key = store.get_slice(opened(model), first, end).key
    path = store._shelf.path(key, "gguf")
    header = read_header(path)
    info = next(info for info in header.tensors if info.name == "blk.0.ffn_up.weight")
    with path.open("r+b") as file:
        file.seek(header.data_start + info.offset + 7)
        file.write(b"\x55")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    manifest, status = store._shelf.manifest(key), path.stat()
    assert manifest is not None
    store._shelf.write_manifest(
        key, replace(manifest, sha256=sha256, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)
    )


def test_split_equals_whole(verify: Verify, model: str) -> None:
    code, said = verify(model, *FLAGS)
    assert code == 0, said
    assert "against the whole model:" in said
    assert "rows in front of layer 2  0            equal" in said
    assert "greedy agreement: 54 of 54 rows (100.0%)" in said


def test_a_damaged_slice_is_noticed_where_it_is(verify: Verify, model: str) -> None:
    assert verify(model, *FLAGS)[0] == 0
    damage(model, 2, 4)
    code, said = verify(model, *FLAGS)
    assert code == 1
    lines = {line.split("  ")[1]: line for line in said.splitlines() if line.startswith("  ")}
    assert lines["rows in front of layer 2"].endswith("equal")
    assert lines["logits"].endswith("DIFFERENT")
    assert verify(model, *FLAGS, "--tolerance", "1e6")[0] == 0
    damage(model, 0, 2)
    code, said = verify(model, *FLAGS)
    assert code == 1
    assert said.count("DIFFERENT") == 2


@pytest.mark.slow
def test_without_the_whole_model_checksums_are_compared(verify: Verify, model: str, tmp_path: Path) -> None:
    code, said = verify(model, *FLAGS, "--no-whole")
    assert code == 3
    assert "nothing to compare with" in said
    code, said = verify(model, *FLAGS, "--no-whole")
    assert code == 0
    assert "against stored checksums of layers [0, 2), [2, 4):" in said

    sums = str(tmp_path / "sums.json")
    assert verify(model, *FLAGS, "--save", sums)[0] == 0
    for arguments in (("--no-whole",), ("--against", sums)):
        code, said = verify(model, "--devices", "CPU,CPU,CPU", "--layers", "0,1,2-3", *FLAGS[4:], *arguments)
        assert code == 0, said
        assert "against stored checksums of whole:" in said
        assert said.count("equal") >= 3  # both boundaries and the logits
    damage(model, 2, 4)
    code, said = verify(model, *FLAGS, "--against", sums)
    assert code == 1
    assert said.count("DIFFERENT") == 1


def test_the_stages_of_several_machines_are_computed_on_this_one(verify: Verify, model: str) -> None:
    config = ClusterConfig(model, nodes=3, devices=("one:CPU", "two:CUDA0", "one:CPU"), ctx_size=64, parallel=2)
    bounds = (0, 1, 2, 4)
    done = run.verify(take_inventory(run.on_this_machine(config, bounds)), run.Asked(bounds), lambda _: None)
    assert [(stage.first, stage.device) for stage in done.plan.stages] == [(0, "CPU"), (1, "CPU"), (2, "CPU")]
    assert done.comparison is not None and done.comparison.passes(0.0)


def test_it_says_why_the_whole_model_cannot_be_had(model: str) -> None:
    found = take_inventory(ClusterConfig(model, devices=("CPU",), ctx_size=64))
    assert _device_for_whole(found) == ("CPU", "")
    (place,) = found.places
    small = replace(found, places=(replace(place, device=replace(place.device, memory_free_bytes=2**20)),))
    assert _device_for_whole(small)[0] is None
    assert "the whole model takes 0.0" in _device_for_whole(small)[1]
    gone = replace(found, whole_path=None)
    assert _device_for_whole(gone)[1] == f"no node has {model} as a file of its own"


@pytest.mark.parametrize(
    "name",
    [
        "gemma-dense",  # scales the embedding in its graph
        pytest.param("qwen2vl-dense", marks=pytest.mark.slow),  # M-RoPE
        "qwen35-dense",  # running states
        pytest.param("nemotron_h-dense", marks=pytest.mark.slow),  # a layer leaves its rows under a name of its own
        pytest.param("deepseek4-moe", marks=pytest.mark.slow),  # running states and several residual streams
        pytest.param("talkie-dense", marks=pytest.mark.slow),  # rows of two parts
    ],
)
def test_it_finds_the_rows_of_other_graphs(verify: Verify, tmp_path: Path, name: str) -> None:
    model = str(write_model(tmp_path / f"{name}.gguf", name))
    code, said = verify(model, "--devices", "CPU,CPU", "--tensor-split", "1,1", "-c", "64", "-np", "2", "-t", "1")
    assert code == 0, said
    assert "against the whole model:" in said
    assert "  rows in front of layer " in said
    assert "greedy agreement: 54 of 54 rows (100.0%)" in said


def test_a_model_that_is_served_whole_only_has_nothing_to_split(verify: Verify, tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "whole.gguf", "smallthinker-moe"))
    code, said = verify(model, "--devices", "CPU,CPU", "-c", "64", "-np", "2", "-t", "1")
    assert code == 2
    assert said.startswith(f"cluster: verify: {model} can only be served whole, there is nothing to split: its layers ")
    code, said = verify(model, "--stages", "1", "--devices", "CPU", "-c", "64", "-np", "2", "-t", "1")
    assert code == 0, said
    assert "nothing is split: one stage has all layers\nagainst the whole model:" in said
    assert "rows in front of" not in said


def test_what_an_encoder_made_is_compared_too(verify: Verify, tmp_path: Path) -> None:
    model = str(write_t5(tmp_path / "t5.gguf"))
    code, said = verify(model, "--devices", "CPU,CPU", "-c", "64", "-np", "2", "-t", "1")
    assert code == 0, said
    assert "rows in front of layer 1  0            equal" in said
    assert "greedy agreement: 23 of 23 rows (100.0%)" in said


def test_where_slices_round_otherwise_the_difference_is_told(verify: Verify, tmp_path: Path) -> None:
    model = str(write_model(tmp_path / "large.gguf", "command-r-plus"))
    flags = ("--devices", "CPU,CPU", "--layers", "0-31,32-63", "-c", "64", "-np", "2", "-t", "1")
    code, said = verify(model, *flags)
    assert code == 2
    assert said.startswith("cluster: stages: 2, but slices add a layer's parts up in another order than 64 or more ")
    assert said.endswith("; give --allow-rounding to cut it all the same, or --stages 1 to serve it whole\n")
    code, said = verify(model, *flags, "--allow-rounding")
    assert code == 0, said
    assert "warning: rounding: slices add a layer's parts up in another order" in said
    assert "rounded otherwise, " in said
    assert "DIFFERENT" not in said
    assert "greedy agreement: 54 of 54 rows (100.0%)" in said
    code, said = verify(model, *flags, "--allow-rounding", "--no-whole")
    assert code == 0, said
    assert said.count("  equal") == 2  # with the checksums of the same stages, not with those of the whole model


def test_nothing_to_verify_is_one_line(verify: Verify) -> None:
    code, said = verify()
    assert code == 2
    assert said == "cluster: verify: no model given and no cluster is up; name a GGUF file, or use --demo\n"
