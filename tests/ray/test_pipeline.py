"""The stages work at the same time, requests come and go, and nobody holds what is not theirs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import cluster
from cluster.bench.measure import recorded_steps
from tests.conftest import CliHome, UpCluster
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.proc import marked, shown

MIB = 2**20
RSS_ALLOWANCE_BYTES = 300 * MIB


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster) -> Iterator[CliHome]:
    with up_cluster("--demo", "--stages", "2", "-c", "512", "-np", "8", "-t", "1") as home:
        yield home


@pytest.fixture(scope="module")
def client(home: CliHome) -> Iterator[cluster.Client]:
    with cluster.connect(home.address, home.client_secret) as connected:
        yield connected


def overlap_ns(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> int:
    """Time that both lists of [start, end) intervals cover."""
    return sum(max(0, min(a[1], b[1]) - max(a[0], b[0])) for a in one for b in other)


def test_streams_say_what_each_says_alone(client: cluster.Client) -> None:
    params = cluster.SamplingParams(temperature=0.0, max_tokens=64)
    prompts = ["Once upon a time", "One day, ", "The rabbit was sad", "x", "Tom lost his ball", "\n", "a a a", "In a"]
    alone = [client.generate(prompt, params).token_ids for prompt in prompts]
    with ThreadPoolExecutor(len(prompts)) as threads:
        together = list(threads.map(lambda prompt: client.generate(prompt, params).token_ids, prompts))
    assert together == alone


@pytest.fixture(scope="module")
def heavy_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 M random weights: a step takes long enough for the time between steps not to matter."""
    path = tmp_path_factory.mktemp("heavy") / "heavy.gguf"
    return write_tiny(path, TinyModel(num_layers=8, width=768, num_heads=12, feed_forward=2048, kind="Q8_0"))


def test_both_stages_are_busy_at_once(heavy_model: Path, up_cluster: UpCluster) -> None:
    params = cluster.SamplingParams(temperature=0.0, max_tokens=32, ignore_eos=True)
    arguments = (str(heavy_model), "--stages", "2", "-c", "128", "-np", "8", "-t", "1", "--no-lend-cores")
    with (
        up_cluster(*arguments) as home,
        cluster.connect(home.address, home.client_secret) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        list(threads.map(lambda prompt: client.generate(prompt, params), ["abc"] * 8))
        steps = recorded_steps(client)
    by_stage = [[(step.start_ns, step.end_ns) for step in steps if step.stage == stage] for stage in (0, 1)]
    busy_ns = [sum(end - start for start, end in intervals) for intervals in by_stage]
    assert min(len(intervals) for intervals in by_stage) > 32
    # Taking turns would give none; a full pipeline overlaps nearly always.
    assert overlap_ns(*by_stage) > 0.5 * min(busy_ns)
    # Two different microbatches are at work, not one that was sent twice.
    assert len({step.id.microbatch for step in steps}) >= 2


def test_closing_a_stream_frees_its_slot(client: cluster.Client) -> None:
    endless = cluster.SamplingParams(max_tokens=None, ignore_eos=True)
    streams = [client.stream("Once", endless) for _ in range(3)]
    for stream in streams:
        next(iter(stream))
    assert client.status().num_slots_used == 3
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 5
    while client.status().num_slots_used:
        assert time.monotonic() < deadline, "the slots were not freed"
        time.sleep(0.01)


def test_more_requests_than_slots_wait_their_turn(client: cluster.Client) -> None:
    params = cluster.SamplingParams(temperature=0.0, max_tokens=8)
    completions = client.generate([f"story {index}" for index in range(30)], params)
    assert len(completions) == 30
    assert all(completion.token_ids for completion in completions)
    assert any(completion.timings.queue_ms > 0 for completion in completions)


def test_context_full_and_stop(client: cluster.Client) -> None:
    full = client.generate("Once", max_tokens=None, ignore_eos=True)
    assert full.finish_reason.value == "context"
    assert full.timings.num_prompt_tokens + len(full.token_ids) == 512
    plain = client.generate("Once upon a time", temperature=0.0, max_tokens=40)
    word = plain.text.split()[3]
    stopped = client.generate("Once upon a time", temperature=0.0, max_tokens=40, stop=word)
    assert stopped.finish_reason.value == "stop"
    assert stopped.text == plain.text[: plain.text.index(word)]


def test_logprobs(client: cluster.Client) -> None:
    completion = client.generate("Once upon", temperature=0.0, max_tokens=5, logprobs=3)
    for token, logprob, top in zip(completion.token_ids, completion.logprobs, completion.top_logprobs, strict=True):
        assert top[0] == (token, logprob)
        assert len(top) == 3
        assert top[0][1] >= top[1][1] >= top[2][1]


def test_async_client(home: CliHome, client: cluster.Client) -> None:
    async def both() -> tuple[str, str]:
        async with cluster.AsyncClient(home.address, home.client_secret) as other:
            text = "".join([event.text async for event in other.stream("Once", temperature=0.0, max_tokens=20)])
            completion = await other.generate("Once", temperature=0.0, max_tokens=20)
            return text, completion.text

    streamed, generated = asyncio.run(both())
    assert streamed == generated == client.generate("Once", temperature=0.0, max_tokens=20).text


def test_the_coordinator_maps_no_weights(home: CliHome) -> None:
    instance = str(home.state()["instance"])
    (coordinator,) = marked(instance, b"Coordinator")
    stages = marked(instance, b"StageWorker")
    assert b".gguf" not in shown(coordinator, "maps")
    assert [b".gguf" in shown(pid, "maps") for pid in stages] == [True, True]


def test_memory_of_each_process(client: cluster.Client) -> None:
    status = client.status()
    for stage in status.stages:
        allowed = stage.weight_bytes + stage.kv_bytes + stage.compute_bytes + RSS_ALLOWANCE_BYTES
        assert 0 < stage.rss_bytes < allowed, f"stage {stage.stage}: {stage.rss_bytes / MIB:.0f} MiB"
        assert stage.weight_bytes > 0
        assert stage.kv_bytes > 0
