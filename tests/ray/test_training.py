"""Workers that train together through ``cluster train``: equal to one process, also when one of them is killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CliHome
from tests.proc import shown

pytestmark = [pytest.mark.ray, pytest.mark.native]

# What a user writes: a checkpoint every ten steps, which a script that begins again goes on from.
SCRIPT = """
import os, signal, sys
from pathlib import Path
import ggml as torch
from ggml import nn
from cluster import train

folder, dies_at = Path(sys.argv[1]), int(sys.argv[2])
train.init_process_group()
rank, world_size = train.get_rank(), train.get_world_size()
torch.manual_seed(7 if rank == 0 else 100 + rank)  # only those of rank 0 count
model = train.DistributedDataParallel(nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 3)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
torch.manual_seed(1)
inputs, targets = torch.randn(64, 6), torch.randint(0, 3, (64,))
checkpointer = torch.utils.Checkpointer(folder / "run", model=model, optimizer=optimizer)
begin = checkpointer.restore() if checkpointer.latest() else 0
print(f"from step {begin}")
for step in range(begin, 50):
    if step == dies_at and begin == 0 and rank == world_size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs[rank::world_size]), targets[rank::world_size])
    loss.backward()
    optimizer.step()
    if step % 10 == 9 and rank == 0:
        checkpointer.save(step + 1)
    train.barrier()
if rank == 0:
    torch.save(model.state_dict(), folder / "trained")
"""

# Everything shared out, saved by all ranks together, and gone on from after a kill.
SHARDED = """
import os, signal, sys
import numpy as np
import ggml as torch
from ggml import nn
from cluster import train

folder = sys.argv[1]
train.init_process_group()
rank, world_size = train.get_rank(), train.get_world_size()

def parts(shards):
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 3))
    if shards:
        train.fully_shard(model[0])
        train.fully_shard(model)
    return model, torch.optim.AdamW(model.parameters(), lr=0.01)

torch.manual_seed(1)
inputs, targets = torch.randn(64, 6), torch.randint(0, 3, (64,))

def step(model, optimizer, rows):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
    optimizer.step()

model, optimizer = parts(True)
state = {"model": model, "optimizer": optimizer, "step": 0}
if os.path.exists(os.path.join(folder, "index.gguf")):
    train.checkpoint.load(state, folder)
print(f"from step {state['step']}")
for number in range(state["step"], 20):
    if number == 13 and state["step"] == 0 and rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    step(model, optimizer, slice(rank, None, world_size))
    if number % 5 == 4:
        train.checkpoint.save({**state, "step": number + 1}, folder)
found = train.get_model_state_dict(model)
plain, optimizer = parts(False)
for _ in range(20):
    step(plain, optimizer, slice(None))
furthest = max(np.abs(one.numpy() - found[name].numpy()).max() for name, one in plain.state_dict().items())
print("equal" if furthest <= 1e-5 else f"off by {furthest}")
"""

FAILS = """
import sys
from cluster import train
train.init_process_group()
print("before", flush=True)
if train.get_rank() == 1:
    raise ValueError("the data is not there")
train.barrier()
"""


def left(tmp_path: Path) -> list[str]:
    """Processes that `run` has started and that are still there: they inherit its environment, whatever they become."""
    found = []
    for path in Path("/proc").iterdir():
        with contextlib.suppress(PermissionError):  # of other users, which are none of ours
            if path.name.isdigit() and mark(tmp_path).encode() in shown(int(path.name), "environ"):
                found.append(path.name)
    return found


def mark(tmp_path: Path) -> str:
    return f"STARTED_BY_TEST={tmp_path}"


def run(tmp_path: Path, text: str, workers: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(text)
    command = [sys.executable, "-m", "cluster", "train", str(script), "--workers", str(workers)]
    with subprocess.Popen(
        [*command, "--", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **dict([mark(tmp_path).split("=", 1)])},
    ) as started:
        time.sleep(0.2)
        assert left(tmp_path) == [str(started.pid)], "what is looked for is found"
        out, err = started.communicate(timeout=300)
    return subprocess.CompletedProcess(started.args, started.returncode, out, err)


def trained(folder: Path) -> dict[str, np.ndarray]:
    import ggml

    return {name: tensor.numpy() for name, tensor in ggml.load(folder / "trained").items()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The weights that one process has after 50 steps over whole batches."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "script.py").write_text(SCRIPT)
    subprocess.run([sys.executable, str(folder / "script.py"), str(folder), "-1"], check=True, timeout=120)
    return trained(folder)


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_workers_are_equal_to_one_process_also_when_one_of_them_is_killed(
    workers: int, tmp_path: Path, alone: dict[str, np.ndarray]
) -> None:
    done = run(tmp_path, SCRIPT, workers, str(tmp_path), "25")
    assert done.returncode == 0, done.stderr
    assert f"rank {workers - 1}: its process is gone" in done.stderr
    assert "all begin again, 1 of 3 times" in done.stderr
    assert done.stdout.count("from step 0") >= 1
    assert f"[rank {workers - 1}] from step 20" in done.stdout
    found = trained(tmp_path)
    assert found.keys() == alone.keys()
    for name, weights in found.items():
        np.testing.assert_allclose(weights, alone[name], rtol=0, atol=1e-6, err_msg=name)
    assert not left(tmp_path)


def test_a_script_that_fails_is_told_once_and_not_run_again(tmp_path: Path) -> None:
    done = run(tmp_path, FAILS, 2)
    assert done.returncode == 1
    assert done.stdout.splitlines().count("before") == 1
    assert done.stdout.splitlines().count("[rank 1] before") == 1
    assert "ValueError: the data is not there" in done.stderr
    assert "begin again" not in done.stderr
    assert "its process is gone" not in done.stderr
    assert not left(tmp_path)


def test_what_is_shared_out_goes_on_from_the_checkpoint_of_all_ranks(tmp_path: Path) -> None:
    done = run(tmp_path, SHARDED, 2, str(tmp_path / "saved"))
    assert done.returncode == 0, done.stderr
    assert "all begin again, 1 of 3 times" in done.stderr
    assert "[rank 1] from step 10" in done.stdout
    assert done.stdout.splitlines()[-2:] in (["equal", "[rank 1] equal"], ["[rank 1] equal", "equal"])


IN_CLUSTER = """
import os
import ggml
from cluster import train
train.init_process_group()
total = ggml.ones(3) * (train.get_rank() + 1)
train.all_reduce(total)
print(f"sum {total.sum().item():.0f} of {train.get_world_size()}, {len(os.sched_getaffinity(0))} cores", flush=True)
"""


def test_workers_share_the_ray_of_a_cluster_that_is_up(tmp_path: Path, cli_home: CliHome) -> None:
    script = tmp_path / "script.py"
    script.write_text(IN_CLUSTER)
    command = ("train", str(script), "--workers", "2", "--address", "cluster")
    done = cli_home.run(*command)
    assert done.returncode == 2
    assert "takes part in no cluster now" in done.stderr
    assert cli_home.run("up", "--demo", "-c", "64").returncode == 0
    done = cli_home.run(*command)
    assert done.returncode == 0, done.stderr
    assert "attaching to the cluster's Ray" in done.stderr
    assert "sum 9 of 2" in done.stdout and "[rank 1] sum 9 of 2" in done.stdout
    assert cli_home.run("run", "Once", "-n", "3").returncode == 0  # it serves as before
    assert cli_home.run("down").returncode == 0
