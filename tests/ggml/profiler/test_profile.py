"""What a profile sees of a step of training, and the trace that it writes."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import ggml
from ggml import nn
from ggml.profiler import profile, record_function


def _step(width: int) -> tuple[Any, Any, Any]:
    model = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))
    return model, ggml.optim.SGD(model.parameters(), lr=0.1), ggml.randn(16, 8)


def test_graphs_and_builds_are_timed() -> None:
    model, optimizer, x = _step(33)
    with profile() as prof:
        for _ in range(3):
            with record_function("step"):
                optimizer.zero_grad()
                model(x).square().mean().backward()
                optimizer.step()
    events = prof.events()
    kinds = [one.kind for one in events]
    assert kinds.count("user") == 3 and kinds.count("graph") == 6 and kinds.count("build") == 2
    for step in [one for one in events if one.kind == "user"]:
        end = step.start_ns + step.duration_ns
        graphs = [one for one in events if one.kind == "graph"]
        inside = [one for one in graphs if step.start_ns <= one.start_ns and one.start_ns + one.duration_ns <= end]
        assert len(inside) == 2 and 0 < sum(one.duration_ns for one in inside) < step.duration_ns
    averages = prof.key_averages()
    assert averages[0].key == "step" and averages[0].count == 3
    total = sum(one.duration_ns for one in events if one.kind == "user") / 1e3
    assert averages[0].total_us == pytest.approx(total) and averages[0].mean_us == pytest.approx(total / 3)
    assert "linear" in averages.table() and len(averages.table(row_limit=1).splitlines()) == 2
    with pytest.raises(ggml.ArgumentError, match="sort_by"):
        averages.table("name")
    count = len(events)
    (model(x) + 1).tolist()
    with record_function("nobody listens"):
        pass
    assert len(prof.events()) == count


def test_nodes_lie_within_their_graph_and_change_nothing() -> None:
    model, _, x = _step(34)
    wanted = model(x).softmax(-1).tolist()
    with profile(with_nodes=True) as prof:
        assert model(x).softmax(-1).tolist() == wanted
    (graph,) = [one for one in prof.events() if one.kind == "graph"]
    nodes = [one for one in prof.events() if one.kind == "node"]
    names = {one.name for one in nodes}
    assert {"linear", "softmax"} <= names and all(one.facts["device"] for one in nodes)
    at = graph.start_ns
    for one in nodes:
        assert one.start_ns >= at and one.duration_ns >= 0
        at = one.start_ns + one.duration_ns
    assert at <= graph.start_ns + graph.duration_ns


def test_the_trace_is_chromes(tmp_path: Path) -> None:
    model, _, x = _step(35)
    with profile(with_nodes=True) as prof, record_function("all"):
        model(x).tolist()
        ggml.compile(model)(x).tolist()
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = trace["traceEvents"]
    assert len(events) == len(prof.events()) and {one["ph"] for one in events} == {"X"}
    assert min(one["ts"] for one in events) == 0 and all(one["dur"] >= 0 for one in events)
    assert {one["tid"] for one in events} == {threading.get_ident()}
    assert sum(one["cat"] == "graph" for one in events) == 2
    (outer,) = [one for one in events if one["name"] == "all"]
    assert all(one["ts"] + one["dur"] <= outer["ts"] + outer["dur"] + 1 for one in events)


def test_what_fails_is_timed_and_ends_the_block() -> None:
    prof = profile()
    late = ggml.arange(3).index_select(0, ggml.tensor([7]))
    with pytest.raises(ggml.IndexOutOfRangeError), prof:
        late.tolist()
    assert "graph" in [one.kind for one in prof.events()]
    with pytest.raises(ggml.ArgumentError, match="make a new one"), prof:
        pass
    assert profile().key_averages() == []
