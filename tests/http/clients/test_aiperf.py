"""aiperf measures the server: what it writes of three requests fits together, and with what was asked."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.http.clients import environments
from tests.http.clients.running import ran, work_of
from tests.http.serving import Served

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.clients]
SCRIPTS = Path(__file__).parent / "scripts"
NUM_REQUESTS, NUM_TOKENS = 3, 5
# aiperf counts the bytes of its prompts, the server its own tokens, of which it has less.
PROMPT_BYTES = 60


def profile(served: Served, folder: Path) -> Path:
    """The folder of what aiperf exports."""
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    ran([environments.python("aiperf"), SCRIPTS / "aiperf_tokenizer.py", tokenizer], folder)
    options = {
        "--model": "demo",
        "--url": served.url,
        "--endpoint-type": "chat",
        "--request-count": str(NUM_REQUESTS),
        "--concurrency": "1",
        "--tokenizer": str(tokenizer),
        "--isl": str(PROMPT_BYTES),
        "--osl": str(NUM_TOKENS),
        "--extra-inputs": "ignore_eos:true",
        "--ui": "simple",
        "--artifact-dir": "out",
    }
    flags = ["--streaming", "--use-server-token-count"]
    words = [word for option in options.items() for word in option]
    ran([environments.python("aiperf", "aiperf"), "profile", *words, *flags], folder)
    return work_of(folder) / "out"


def test_aiperf_finds_sane_numbers(served: Served, tmp_path: Path) -> None:
    out = profile(served, tmp_path)
    found: Any = json.loads((out / "profile_export_aiperf.json").read_text())
    mean = {name: value["avg"] for name, value in found.items() if isinstance(value, dict) and "avg" in value}
    assert found["error_summary"] == []
    assert (mean["request_count"], mean["output_sequence_length"]) == (NUM_REQUESTS, NUM_TOKENS)
    assert 0 < mean["input_sequence_length"] < 512
    assert 0 < mean["time_to_first_token"] < mean["request_latency"]
    # All have the same length, so that what holds of each of them holds of the means.
    gaps_ms = (NUM_TOKENS - 1) * mean["inter_token_latency"]
    assert mean["time_to_first_token"] + gaps_ms == pytest.approx(mean["request_latency"])
    assert mean["output_token_throughput"] == pytest.approx(NUM_TOKENS * mean["request_throughput"])
    assert 0 < mean["request_throughput"] <= 1000 / mean["request_latency"]  # one at a time

    with (out / "profile_export_aiperf.csv").open() as file:
        rows = {row[0]: row[1:] for row in csv.reader(file) if row}
    assert float(rows["Request Count"][0]) == NUM_REQUESTS
    # It scrapes the server, too, while it measures.
    assert "ggml_cluster_ready" in (out / "server_metrics_export.csv").read_text()
