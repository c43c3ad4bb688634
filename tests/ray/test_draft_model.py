"""`cluster up --draft MODEL`: the same text, guessed by a model beside the coordinator, or a line that says why not."""

from __future__ import annotations

import json
from pathlib import Path

import cluster
from tests.conftest import CliHome
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.fakes.wire_backends import wait_until
from tests.reference import WholeModel

CONTEXT = 256
NUM_TOKENS = 32
ARGUMENTS = ("--demo", "--stages", "2", "-c", str(CONTEXT), "-t", "1", "--http", "off")


def test_a_model_drafts_for_a_cluster(cli_home: CliHome, demo_model: Path, tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "other.gguf", TinyModel(num_layers=1))
    refused = cli_home.run("up", *ARGUMENTS, "--draft", str(other))
    assert refused.returncode == 2
    assert "other.gguf: its vocabulary is not that of" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1

    done = cli_home.run("up", *ARGUMENTS, "-md", str(demo_model))
    assert done.returncode == 0, done.stderr
    params = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS)
    with cluster.connect(cli_home.address, cli_home.client_secret) as client:
        wait_until(lambda: client.status().draft == "demo.gguf on CPU", 60)
        prompt = list(client.tokenize("Once upon a time"))
        found = client.generate(prompt, params)
    whole = WholeModel(demo_model, CONTEXT)
    assert list(found.token_ids) == whole.greedy(prompt, NUM_TOKENS)
    whole.close()
    status = json.loads(cli_home.run("status", "-o", "json").stdout)
    assert status["draft"] == "demo.gguf on CPU"
    assert status["num_accepted"] <= status["num_drafted"]
