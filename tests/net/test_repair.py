"""A stage on another machine dies, or a cable is pulled for a while: streams wait and go on by themselves."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.net import talking
from tests.net.running import Running
from tests.net.together import Together

NUM_STREAMS = 4
NUM_TOKENS = 200  # of a context of 256
CUT_S = 10.0
STATUS = "status = client.status()\nanswer = [status.state, status.num_recoveries, status.lost_s]"


def talks(together: Together) -> Running:
    """Streams of the head's, all of which have begun."""
    running = together.head.start("python", talking.__file__, str(NUM_STREAMS), str(NUM_TOKENS))
    for stream in range(NUM_STREAMS):
        running.wait_for(f"token {stream}", 60)
    return running


def check_done(running: Running) -> None:
    running.wait_for("over", 120)
    ended = [line.split(" ", 2) for line in running.out.splitlines() if line.startswith(("done", "failed"))]
    assert [how for how, _, _ in ended] == ["done"] * NUM_STREAMS, ended
    texts = [json.loads(text) for _, _, text in ended]
    assert len(set(texts)) <= 2, "greedy ones, of which some may part where rows were rounded otherwise"


def is_stage(pid: int) -> bool:
    try:
        return b"ray::StageWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_stage_of_another_machine_is_replaced_there(three_hosts_up: Together) -> None:
    _, before, lost_s = three_hosts_up.ask(STATUS)
    running, three = talks(three_hosts_up), three_hosts_up.hosts[3]
    (killed,) = (pid for pid in three.pids() if is_stage(pid))
    os.kill(killed, signal.SIGKILL)
    check_done(running)
    state, after, all_lost_s = three_hosts_up.ask(STATUS)
    assert (state, after) == ("ready", before + 1)
    assert [pid for pid in three.pids() if is_stage(pid)] not in ([killed], [])
    print(f"{all_lost_s - lost_s:.2f} s lost")


@pytest.mark.slow
def test_streams_wait_while_a_machine_is_cut_off(three_hosts_up: Together) -> None:
    three = three_hosts_up.hosts[3]
    pids = {pid for pid in three.pids() if is_stage(pid)}
    running = talks(three_hosts_up)
    with three.cut_off():
        time.sleep(CUT_S)
    check_done(running)
    assert {pid for pid in three.pids() if is_stage(pid)} == pids, "it keeps its weights"
