"""The cluster as the page and Prometheus see it, of a real one."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster.http.settings import HttpSettings
from tests.fakes.wire_backends import wait_until
from tests.http.serving import Served, serving

pytestmark = pytest.mark.native
conformance = pytest.mark.conformance


def told(served: Served, path: str, num_events: int) -> Iterator[tuple[str, Any]]:
    """The first events of a stream, by name."""
    connection = http.client.HTTPConnection(served.host, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        while num_events:
            line = response.readline().decode().rstrip("\n")
            assert not response.isclosed()
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                num_events -= 1
                yield name, json.loads(line[6:])
    finally:
        connection.close()


def samples(served: Served) -> dict[tuple[str, str], float]:
    """By name and stage."""
    answer = served.get("/metrics")
    assert answer.status == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {(one.name, one.labels.get("stage", "")): one.value for family in families for one in family.samples}


def generate(served: Served, num_tokens: int) -> None:
    """Some tokens, whichever of the APIs asks for them."""
    body = {"prompt": "Once upon a time", "stream": False, "options": {"num_predict": num_tokens}, "raw": True}
    assert served.post("/api/generate", {"model": "demo", **body}).status == 200


def test_the_state_has_a_row_for_each_stage_and_figures_of_what_ran(served: Served) -> None:
    generate(served, 12)
    wait_until(lambda: served.get("/cluster/state").json()["stages"][1]["num_steps"] > 10)  # it may be a second old
    found = served.get("/cluster/state").json()
    assert found["is_ready"]
    assert (found["model"], found["num_slots"]) == ("demo", served.num_slots)
    assert [stage["stage"] for stage in found["stages"]] == [0, 1]
    for stage in found["stages"]:
        assert stage["num_rows"] >= stage["num_steps"] > 10
        assert stage["busy_s"] > 0
        assert stage["busy_fraction"] + stage["bubble_fraction"] == pytest.approx(1.0)
        assert stage["hop_ms"] > 0
    assert found["history"]
    assert {"at", "tokens_per_s", "num_slots_used", "num_waiting"} == found["history"][0].keys()


def test_the_plan_says_where_the_layers_are(served: Served) -> None:
    stages = served.get("/cluster/plan").json()["stages"]
    assert [(stage["first"], stage["end"]) for stage in stages] == [(0, 4), (4, 8)]


def test_a_stream_of_states_comes_each_second(served: Served) -> None:
    states = [data for name, data in told(served, "/cluster/events", 3) if name == "state"]
    assert len(states) >= 2
    assert states[0]["uptime_s"] < states[-1]["uptime_s"]


def test_a_lost_stage_and_its_recovery_are_events(slice_cache: None) -> None:
    with serving() as own:
        own.coordinator._engine.fail(_failure(own))
        wait_until(lambda: own.coordinator.status().state == "ready", 20)

        def events() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = own.get("/cluster/state").json()["events"]
            return found

        wait_until(lambda: any(event["kind"] == "epoch" for event in events()), 20)
        assert any(event["text"].startswith("Epoch 2: the stages were wired anew") for event in events())


def _failure(own: Served) -> Any:
    from cluster.messages.stage import StageFailure

    return StageFailure(1, own.coordinator.epoch, "its cable was cut")


def test_all_of_it_needs_the_key_and_the_page_does_not(served: Served) -> None:
    with serving(keys=["secret"], cluster=served) as locked:
        for path in ("/cluster/state", "/cluster/plan", "/cluster/events", "/metrics"):
            assert locked.ask("GET", path, authorization="Bearer wrong").status == 401
        assert locked.get("/cluster/state").status == 200
        for path in ("/", "/app.js", "/style.css"):
            assert locked.ask("GET", path, authorization="", accept="text/html").status == 200


@conformance(row=51, client="curl")
def test_a_scrape_counts_requests_tokens_and_stages(served: Served) -> None:
    before = samples(served)
    generate(served, 7)
    # What a scrape tells of stages may be a second old.
    wait_until(lambda: samples(served)["ggml_cluster_stage_hop_seconds", "0"] > 0)
    after = samples(served)
    assert after["ggml_cluster_generation_tokens_total", ""] == before["ggml_cluster_generation_tokens_total", ""] + 7
    assert after["ggml_cluster_up", ""] == after["ggml_cluster_ready", ""] == 1
    for stage in ("0", "1"):
        for name in ("busy_seconds_total", "steps_total", "rows_total", "kv_bytes", "hop_seconds", "bubble_ratio"):
            assert after[f"ggml_cluster_stage_{name}", stage] > 0
    answer = served.ask("HEAD", "/metrics")
    assert (answer.status, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/plain; version=")


def test_open_connections_are_counted(served: Served) -> None:
    before = samples(served)["ggml_cluster_http_connections", ""]
    assert before >= 1  # the one that asks
    host, port = served.host.split(":")
    with socket.create_connection((host, int(port))), socket.create_connection((host, int(port))):
        wait_until(lambda: samples(served)["ggml_cluster_http_connections", ""] >= before + 2)


def test_llama_servers_names_are_told_where_they_are_asked_for(served: Served) -> None:
    assert b"llamacpp:" not in served.get("/metrics").content
    with serving(HttpSettings(port=0, metrics_aliases=True), cluster=served) as own:
        generate(own, 5)
        found = samples(own)
        assert found["llamacpp:tokens_predicted_total", ""] == 5
        assert found["llamacpp:prompt_tokens_total", ""] >= 0
        assert found["llamacpp:requests_deferred", ""] == 0


def test_metrics_that_are_off_say_so(served: Served) -> None:
    with serving(HttpSettings(port=0, metrics=False), cluster=served) as own:
        assert own.get("/metrics").status == 501
