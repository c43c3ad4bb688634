"""Streams over HTTP at known times: what counts as a token, and what is told of it in the words of `vllm bench`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from cluster.api.errors import ClusterError
from cluster.bench.arrival import Arrival
from cluster.bench.options import HttpBenchSettings
from cluster.bench.report.tables import to_json, to_markdown
from cluster.bench.report.vllm import vllm_block, vllm_record
from cluster.bench.scenarios.answer import Answer
from cluster.bench.scenarios.http import HttpRun, http_figures
from cluster.bench.scenarios.http_client import body_of, streamed
from cluster.bench.serving import most_chunks, most_open, serving_figures
from tests.unit.bench.test_report import report

PING = b": ping\n\n"
EMPTY = b'data: {"id":"x","choices":[],"usage":null}\n\n'
TOKEN = b'data: {"id":"x","choices":[{"index":0,"text":"a"}],"usage":null}\n\n'
USAGE = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"

# Two requests that overlap, and a third that is sent as the second one ends.
FIRST = Arrival(10.0, (10.5, 10.7, 11.1), 11.2, 4, 5)
SECOND = Arrival(10.2, (10.8, 11.2), 11.3, 4, 2)
THIRD = Arrival(11.2, (12.0,), 12.0, 2, 1)
RUN = (FIRST, SECOND, THIRD)

BLOCK = """\
============ Serving Benchmark Result ============
Successful requests:                     3
Failed requests:                         0
Benchmark duration (s):                  2.00
Total input tokens:                      10
Total generated tokens:                  8
Request throughput (req/s):              1.50
Output token throughput (tok/s):         4.00
Peak output token throughput (tok/s):    3.00
Peak concurrent requests:                2.00
Total token throughput (tok/s):          9.00
---------------Time to First Token----------------
Mean TTFT (ms):                          633.33
Median TTFT (ms):                        600.00
P99 TTFT (ms):                           796.00
-----Time per Output Token (excl. 1st token)------
Mean TPOT (ms):                          275.00
Median TPOT (ms):                        275.00
P99 TPOT (ms):                           397.50
---------------Inter-token Latency----------------
Mean ITL (ms):                           333.33
Median ITL (ms):                         400.00
P99 ITL (ms):                            400.00
=================================================="""


def answer_of(parts: Sequence[tuple[bytes, float]], sent_s: float = 1.0) -> Arrival:
    """Of parts and the times at which they came; only the last one ends it."""
    answer = Answer(sent_s)
    *early, (last, last_s) = parts
    for part, now_s in early:
        assert answer.take(part, now_s) is None
    arrival = answer.take(last, last_s)
    assert arrival is not None
    return arrival


def test_the_first_chunk_with_choices_is_the_first_token() -> None:
    arrival = answer_of(
        [
            (b"HTTP/1.1 200 OK\r\n\r\n", 1.1),
            (PING, 1.2),
            (EMPTY, 1.3),
            (TOKEN, 1.5),
            (TOKEN * 2, 1.6),
            (USAGE + DONE, 2.0),
        ]
    )
    assert arrival == Arrival(1.0, (1.5, 1.6, 1.6), 2.0, 3, 5)
    assert arrival.first_s == pytest.approx(0.5)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_chunks_are_counted_however_they_are_cut(size: int) -> None:
    """A chunk is there once the mark of its choices is, and no chunk counts twice."""
    whole = TOKEN * 80 + USAGE + b"\r\n20\r\n" + DONE  # more than is kept, and the frame of a chunk before the end
    end = whole.index(b"[DONE]") + 6
    parts = [whole[at : min(at + size, end)] for at in range(0, end, size)]
    arrival = answer_of([(part, 1.0 + number) for number, part in enumerate(parts)])
    assert len(arrival.chunk_s) == 80
    assert list(arrival.chunk_s) == sorted(arrival.chunk_s)
    assert (arrival.num_prompt_tokens, arrival.num_output_tokens) == (3, 5)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b'data: {"error":{"message":"gone"}}\n\n', "gone"),
        (USAGE + DONE, "no tokens"),
        (TOKEN + DONE, "does not tell its usage"),
    ],
)
def test_an_answer_that_is_none(said: bytes, error: str) -> None:
    with pytest.raises(ClusterError, match=error):
        Answer(0.0).take(said, 1.0)


def test_an_answer_over_a_socket() -> None:
    """The request is the one of vllm, and the times are in order."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        asked.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + PING)
        for part in (TOKEN, TOKEN, USAGE + DONE):
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(part)
        writer.close()

    async def ask() -> Arrival:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()
            return await streamed(host, port, body_of([1, 2, 3], 5))

    arrival = asyncio.run(ask())
    assert arrival.sent_s < arrival.chunk_s[0] <= arrival.chunk_s[1] <= arrival.end_s
    body = json.loads(asked[0])
    assert (body["prompt"], body["max_tokens"], body["stream_options"]) == ([1, 2, 3], 5, {"include_usage": True})


def test_figures_are_vllms() -> None:
    """TTFT 500, 600, 800; TPOT 600/4 and 400/1, none of one token; ITL 200, 400, 400."""
    figures = serving_figures([RUN])
    assert vllm_block(figures) == BLOCK
    record = vllm_record(figures)
    assert (record["completed"], record["total_output_tokens"], record["max_concurrent_requests"]) == (3, 8, 2)
    assert record["mean_tpot_ms"] == pytest.approx(275)
    assert record["p99_ttft_ms"] == pytest.approx(600 + 0.98 * 200)


def test_peaks() -> None:
    assert most_chunks(RUN) == 3  # 0.5, 0.7 and 0.8 s after the first request
    assert most_open(RUN) == 2  # the second one ends as the third is sent
    assert most_open([FIRST, FIRST, SECOND]) == 3


def test_runs_come_one_after_the_other() -> None:
    """The pause between them is not measured, and no peak is of two."""
    later = [Arrival(100.0, (100.5, 101.5), 102.0, 1, 2)]
    figures = serving_figures([RUN, later])
    assert figures.duration_s == pytest.approx(4.0)
    assert (figures.peak_output_tokens_per_s, figures.peak_requests, figures.num_requests) == (3, 2, 4)


def test_answers_of_one_token_have_no_gaps() -> None:
    assert vllm_record(serving_figures([[THIRD]]))["mean_tpot_ms"] == 0.0


def test_the_report_has_the_block_and_the_fields() -> None:
    found = report()
    run = HttpRun(64.0, 80.0, 20.0, 10.0, RUN)
    found.http = http_figures(HttpBenchSettings(3, 5), [run], 1.5)
    text = to_markdown(found)
    assert "| HTTP / client | 0.800 |" in " ".join(text.split())
    assert f"```text\n{BLOCK}\n```" in text
    http = json.loads(to_json(found))["http"]
    assert http["vllm"]["median_ttft_ms"] == pytest.approx(600)
    assert http["serving"]["ttft_ms"]["median"] == pytest.approx(600)
