"""Cables are pulled, machines lose power and come back: nothing hangs, and all is as docs/machines.md says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.net import talking
from tests.net.conftest import NUM_NODES, made_hosts
from tests.net.hosts import Host
from tests.net.running import Running
from tests.net.together import Together

pytestmark = pytest.mark.slow

NUM_STREAMS = 4
# A token of four streams takes some 20 ms here: such streams last until something ends them.
LONG = 1500
NOTICED_S = 15.0  # wire's pings need 4 s; this machine may be busy
BACK_S = 60.0
GIVEN_UP_S = 240.0  # Ray does after two and a half minutes
ASK = ("cluster", "run", "--temp", "0", "-n", "16", "Once")


@pytest.fixture(scope="module")
def together(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    """Each test leaves it serving, on whichever nodes."""
    root = tmp_path_factory.mktemp("faults")
    shape = TinyModel(num_layers=9, width=768, num_heads=12, feed_forward=2048, kind="Q8_0", context_length=2 * LONG)
    with made_hosts(root, NUM_NODES + 1) as hosts:
        write_tiny(hosts[1].disk / "model.gguf", shape)
        arguments = ("/tmp/model.gguf", "--layers", "0-2,3-5,6-8", "-c", str(2 * LONG), "-t", "1", "--no-repair")
        yield Together.start(hosts, *arguments, num_nodes=NUM_NODES)


def answer(together: Together) -> str | None:
    """What the cluster says on its head; None if it refuses."""
    done = together.head.run(*ASK, timeout_s=60)
    assert done.returncode in (0, 4), done.stderr
    return done.stdout if done.returncode == 0 else None


@pytest.fixture(scope="module")
def said(together: Together) -> str:
    """What the whole cluster says."""
    text = answer(together)
    assert text
    return text


def talks(together: Together, max_tokens: int = LONG) -> Running:
    """Streams of the head's, all of which have begun."""
    running = together.head.start("python", talking.__file__, str(NUM_STREAMS), str(max_tokens))
    for stream in range(NUM_STREAMS):
        running.wait_for(f"token {stream}", 60)
    return running


def endings(running: Running, timeout_s: float) -> list[tuple[str, str]]:
    """How each stream ended: "done" or "failed", and the text or the reason."""
    running.wait_for("over", timeout_s)
    lines = [line.split(" ", 2) for line in running.out.splitlines() if line.startswith(("done", "failed"))]
    assert len(lines) == NUM_STREAMS
    return [(how, json.loads(what)) for how, _, what in lines]


def all_name(running: Running, host: Host) -> None:
    """All streams end within a time, each with an error that says where."""
    ended = endings(running, NOTICED_S)
    assert all(how == "failed" and host.address in why for how, why in ended), ended


def wait_until(condition: Callable[[], object], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.5)


def repair(together: Together) -> str:
    """What `cluster up` said beside."""
    done = together.head.run("cluster", "up")
    assert done.returncode == 0, done.stderr
    return done.stderr


def placed(together: Together) -> list[str]:
    nodes: list[str] = together.ask("answer = [stage.node for stage in client.status().stages]")
    return nodes


def rejoin(together: Together, number: int) -> None:
    """As after a reboot: by what the node has on its disk."""
    together.joins[number].end()
    together.joins[number] = together.hosts[number].start("cluster", "join")
    together.joins[number].wait_for("joined", 120)


def test_a_short_cut_is_not_noticed(together: Together) -> None:
    undisturbed = endings(talks(together, 150), 120)
    running = talks(together, 150)
    with together.hosts[3].cut_off():
        time.sleep(2)
    assert endings(running, 120) == undisturbed
    assert {how for how, _ in undisturbed} == {"done"}


@pytest.mark.parametrize("seconds", [10, 60])
def test_a_longer_cut_ends_streams_and_heals_by_itself(together: Together, said: str, seconds: int) -> None:
    running = talks(together)
    with together.hosts[3].cut_off():
        began_s = time.monotonic()
        all_name(running, together.hosts[3])
        assert answer(together) is None
        assert "degraded" in together.head.run("cluster", "status").stdout
        time.sleep(max(0.0, began_s + seconds - time.monotonic()))
    wait_until(lambda: answer(together), BACK_S)
    assert answer(together) == said


def test_a_node_that_ray_has_given_up_joins_anew(together: Together, said: str) -> None:
    """A cut for longer than Ray has patience: `up` loads the stage again, there or elsewhere."""
    running, three = talks(together), together.hosts[3]
    with three.cut_off():
        all_name(running, three)
        wait_until(lambda: "does not take part" in told_nodes(together), GIVEN_UP_S)
    wait_until(lambda: "lost" not in told_nodes(together), BACK_S)
    repair(together)
    assert answer(together) == said


def told_nodes(together: Together) -> str:
    return together.head.run("cluster", "nodes").stdout


def test_one_way_loss_is_a_cut(together: Together, said: str) -> None:
    one, three = together.hosts[1], together.hosts[3]
    three.skip_without_filter("filter")
    running = talks(together)
    three.deafen(one)
    try:
        all_name(running, three)
    finally:
        three.undeafen(one)
    wait_until(lambda: answer(together), BACK_S)
    assert answer(together) == said


def test_up_goes_on_without_a_node_that_is_cut_off(together: Together, said: str) -> None:
    """What that one computes belongs to an epoch that is over: it is ended once the node is back."""
    running, three = talks(together), together.hosts[3]
    with three.cut_off():
        all_name(running, three)
        assert "three does not answer" in repair(together)
        assert answer(together) == said
        assert "three" not in placed(together)
    wait_until(lambda: not any("StageWorker" in command(pid) for pid in three.pids()), BACK_S)
    assert answer(together) == said


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def test_a_node_without_power_is_replaced_and_comes_back_without_a_string(together: Together, said: str) -> None:
    running, two = talks(together), together.hosts[2]
    assert "two" in placed(together)
    two.power_off()
    all_name(running, two)
    repair(together)
    assert answer(together) == said
    assert "two" not in placed(together)
    two.power_on()
    rejoin(together, 2)
    assert "two" in together.head.run("cluster", "nodes").stdout
    assert answer(together) == said


def test_a_node_whose_processes_were_killed_comes_back(together: Together, said: str) -> None:
    used = together.hosts[3] if "three" in placed(together) else together.hosts[2]
    running = talks(together)
    used.kill_all()
    all_name(running, used)
    rejoin(together, used.number)
    repair(together)
    assert answer(together) == said


def test_a_second_head_of_the_same_name_is_another_cluster(together: Together, said: str) -> None:
    four = together.hosts[4]
    done = four.run("cluster", "up", "--demo", "--stages", "1", "--advertise-address", "four", "--node-name", "one")
    assert done.returncode == 0, done.stderr
    assert answer(together) == said
    assert four.run("cluster", "down").returncode == 0
    assert four.pids() == []
    assert answer(together) == said


def test_a_head_that_lost_its_power_finds_its_nodes_again(together: Together, said: str) -> None:
    """They have waited for it; nobody types anything there."""
    together.head.power_off()
    time.sleep(5)
    together.head.power_on()
    repair(together)
    assert answer(together) == said
    assert sorted(placed(together)) == ["one", "three", "two"]


def test_down_ends_everything_everywhere(together: Together) -> None:
    done = together.head.run("cluster", "down")
    assert done.returncode == 0, done.stderr
    for host in together.nodes:
        wait_until(lambda host=host: not host.pids(), 30)  # type: ignore[misc]
        assert [path.name for path in host.disk.iterdir() if path.name.startswith("ggml-cluster-")] == []
