"""Workers that train together on several hosts, in a Ray that somebody else started; one of them is killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

from tests.net.conftest import made_hosts
from tests.net.hosts import Hosts
from tests.net.test_foreign_ray import PORT, START_S, environment, start_ray

pytestmark = pytest.mark.slow

SCRIPT = """
import os, signal, socket, sys
import ggml as torch
from ggml import nn
from cluster import train

folder = sys.argv[1]
train.init_process_group()
rank, world_size = train.get_rank(), train.get_world_size()
torch.manual_seed(7)
model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 3))
train.fully_shard(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
torch.manual_seed(1)
inputs, targets = torch.randn(64, 6), torch.randint(0, 3, (64,))
state = {"model": model, "optimizer": optimizer, "step": 0}
if os.path.exists(os.path.join(folder, "index.gguf")):
    train.checkpoint.load(state, folder)
print(f"{socket.gethostname()} {os.environ['LOCAL_RANK']} from step {state['step']}")
for step in range(state["step"], 20):
    if step == 13 and state["step"] == 0 and rank == world_size - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs[rank::world_size]), targets[rank::world_size])
    loss.backward()
    optimizer.step()
    if step % 5 == 4:
        train.checkpoint.save({**state, "step": step + 1}, folder)
print(f"loss {loss.item():.4f}")
"""


@pytest.fixture(scope="module")
def foreign(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with made_hosts(tmp_path_factory.mktemp("training"), 2) as hosts:
        start_ray(hosts)
        yield hosts


@pytest.fixture
def shared_by_hosts() -> Iterator[str]:
    """A folder that all hosts have: of temporary ones, only /tmp is each host's own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield folder


def test_a_killed_worker_begins_again_from_the_checkpoint_on_every_host(foreign: Hosts, shared_by_hosts: str) -> None:
    head = foreign[1]
    for host in foreign:
        (host.disk / "script.py").write_text(SCRIPT)
    where = ("--address", f"{head.address}:{PORT}", "--nodes", "2", "--workers", "2")
    command = ("cluster", "train", "/tmp/script.py", *where)
    refused = head.run(*command, "--", shared_by_hosts, timeout_s=START_S, **environment(is_encrypted=False))
    assert refused.returncode != 0
    done = head.run(*command, "--", shared_by_hosts, timeout_s=2 * START_S, **environment())
    assert done.returncode == 0, done.stderr + done.stdout
    assert "2 workers on 2 machines" in done.stderr
    assert "all begin again, 1 of 3 times" in done.stderr
    assert f"{head.name} 0 from step 10" in done.stdout
    assert f"[rank 1] {foreign[2].name} 0 from step 10" in done.stdout
    assert done.stdout.count("loss 0.") + done.stdout.count("loss 1.") == 2
