"""A program that makes text over real actors: by the command line, by the client, over HTTP, and after a stage died."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")

import cluster
import ggml
from tests.conftest import CliHome, UpCluster
from tests.ggml.generation import models
from tests.native.vocabularies import write_byte_pairs


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    models.program(1).save(folder / "language.ggp", tokenizer=write_byte_pairs(folder / "bytes.gguf", "gpt-2"))
    return folder / "language.ggp"


@pytest.fixture(scope="module")
def home(up_cluster: UpCluster, program: Path) -> Iterator[CliHome]:
    with up_cluster(str(program), "--stages", "2", "-np", "4", "--http", "127.0.0.1:0") as home:
        yield home


def whole(program: Path, prompt: str) -> str:
    params = ggml.SamplingParams(max_tokens=8, temperature=0.0)
    return ggml.generate(ggml.load_program(program), [prompt], params)[0].text


def test_texts_are_those_of_the_whole_program(home: CliHome, program: Path) -> None:
    with cluster.connect(home.address, home.client_secret) as client:
        assert client.generate("the end", max_tokens=8, temperature=0.0).text == whole(program, "the end")
    status = json.loads(home.run("status", "-o", "json").stdout)
    (_, middle), (begin, end) = [(stage["first"], stage["end"]) for stage in status["stages"]]
    assert 0 < middle == begin < end == 7
    assert (status["context_length"], status["num_slots"], status["vocab_size"]) == (48, 4, 261)
    assert "of 4 slots used" in home.run("status").stdout


def test_it_is_asked_over_http(home: CliHome, program: Path) -> None:
    address = home.state()["http"]
    body = {"prompt": "the end", "max_tokens": 8, "temperature": 0}
    request = urllib.request.Request(
        f"{address}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert json.load(reply)["choices"][0]["text"] == whole(program, "the end")


def test_it_is_verified(home: CliHome, program: Path) -> None:
    verified = home.run("verify")
    assert verified.returncode == 0, verified.stderr
    assert verified.stdout.count("greedy agreement") == 2, "the whole program, and the cluster that is up"
    assert "(100.0%)" in verified.stdout
    planned = home.run("plan", str(program), "--stages", "3")
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines()[0] == "language.ggp (ggml-program, 7 units), 48 tokens in each of 8 slots"


def test_a_killed_stage_is_repaired(home: CliHome, program: Path) -> None:
    """By itself, and who asks meanwhile waits."""
    with cluster.connect(home.address, home.client_secret) as client:
        killed = client.status().stages[1].pid
        os.kill(killed, signal.SIGKILL)
        for _ in range(10_000):
            client.generate("the", max_tokens=8)
            if client.status().num_recoveries:
                break
        assert client.status().stages[1].pid != killed
        assert client.generate("the end", max_tokens=8, temperature=0.0).text == whole(program, "the end")
