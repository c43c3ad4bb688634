"""What scripts read of a cluster's status: by `cluster status -o json`, and by the client."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cluster.api.status import Condition, Health
from cluster.terminal.status_record import status_record
from cluster.terminal.table import print_status
from tests.fakes.wire_backends import EchoCluster

STATUS = EchoCluster().status()
STAGE = {
    "stage": 0,
    "node": "n",
    "device": "CPU",
    "first": 0,
    "end": 4,
    "state": "lost: gone",
    "pid": 7,
    "address": "127.0.0.1:1",
    "weight_bytes": 10,
    "kv_bytes": 20,
    "compute_bytes": 30,
    "rss_bytes": 40,
    "busy_fraction": 0.5,
    "step_ms": 1.25,
    "num_steps": 9,
    "num_rows": 0,
    "busy_s": 0.0,
    "wait_ms": 0.0,
    "hop_ms": 0.0,
}
CLUSTER = {
    "model": "demo",
    "model_hash": "ab",
    "architecture": "llama",
    "state": "ready",
    "address": "127.0.0.1:2",
    "epoch": 1,
    "context_length": 128,
    "num_slots": 4,
    "num_slots_used": 0,
    "num_waiting": 0,
    "num_requests": 5,
    "num_tokens": 99,
    "uptime_s": 12.5,
    "vocab_size": 50,
    "protection": "loopback",
    "row_bytes": 0,
    "plan": "",
    "num_recoveries": 2,
    "lost_s": 3.5,
    "num_replayed": 640,
    "draft": "auto",
    "num_drafted": 40,
    "num_accepted": 30,
    "num_dropped_runs": 3,
}


def test_the_keys_of_the_json_stay() -> None:
    assert json.loads(json.dumps(status_record(STATUS))) == {**CLUSTER, "stages": [STAGE]}


def test_a_row_is_read_by_the_same_names() -> None:
    assert {name: getattr(STATUS, name) for name in CLUSTER} == CLUSTER
    assert {name: getattr(STATUS.stages[0], name) for name in STAGE} == STAGE


@pytest.mark.parametrize("wide", [False, True])
def test_the_wide_table_tells_of_recoveries(wide: bool, capsys: pytest.CaptureFixture[str]) -> None:
    print_status(STATUS, wide=wide)
    told = "2 recoveries, 3.5 s lost, 640 tokens computed again" in capsys.readouterr().out
    assert told is wide
    print_status(replace(STATUS, num_recoveries=0), wide=wide)
    assert "recoveries" not in capsys.readouterr().out


def test_the_wide_table_tells_what_became_of_guesses(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(STATUS, wide=True)
    assert "draft auto: 30 of 40 guesses right (75%), 3 steps behind wrong ones" in capsys.readouterr().out
    print_status(replace(STATUS, draft="off", num_drafted=0, num_accepted=0), wide=True)
    assert "draft off: nothing is guessed" in capsys.readouterr().out
    print_status(STATUS, wide=False)
    assert "guesses" not in capsys.readouterr().out


def test_the_reason_stands_behind_the_condition() -> None:
    degraded = replace(STATUS, health=Health(Condition.DEGRADED, "stage 1 is lost: it died"))
    assert degraded.state == "degraded: stage 1 is lost: it died"
    assert not degraded.health.is_ready
