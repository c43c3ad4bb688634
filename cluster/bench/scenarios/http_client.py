"""Requests over HTTP as cheap as Python sends them: what is timed is the server, not its client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from cluster.api.errors import ClusterError
from cluster.bench.arrival import Arrival
from cluster.bench.scenarios.answer import Answer

READ_BYTES = 1 << 16
ANSWER_TIMEOUT_S = 600.0


def body_of(prompt: Sequence[int], num_tokens: int) -> dict[str, Any]:
    """What `vllm bench serve` sends to /v1/completions, with a prompt of token ids."""
    return {
        "model": "any",
        "prompt": list(prompt),
        "temperature": 0.0,
        "repetition_penalty": 1.0,
        "max_tokens": num_tokens,
        "logprobs": None,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }


async def streamed(host: str, port: int, body: dict[str, Any]) -> Arrival:
    """Post to /v1/completions over a connection of its own, and read to the end. ClusterError for any other end."""
    data = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = f"POST /v1/completions HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-length: {len(data)}\r\n\r\n"
        sent_s = time.perf_counter()
        writer.write(head.encode() + data)
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await _read(reader, sent_s)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"http: an answer broke off: {error!r}") from error
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, sent_s: float) -> Arrival:
    answer, said = Answer(sent_s), b""
    while part := await reader.read(READ_BYTES):
        said = said or part
        if (arrival := answer.take(part, time.perf_counter())) is not None:
            return arrival
    raise ClusterError(f"http: an answer ended before its end: {said[:300].decode(errors='replace')}")
