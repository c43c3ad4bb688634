"""`cluster up --lora`: the answers of the whole model with the adapter, and one line for a file that does not fit."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import cluster
from tests.conftest import CliHome
from tests.fakes.adapters import matrices_of, write_adapter
from tests.reference import WholeModel

CONTEXT = 256
NUM_TOKENS = 32
PROMPTS = ("Once upon a time", "The rabbit was sad because", "x")
ARGUMENTS = ("--demo", "--stages", "2", "-c", str(CONTEXT), "-t", "1", "--http", "off")


def expected(model: Path, adapters: list[tuple[Path, float]], prompts: list[list[int]]) -> list[list[int]]:
    whole = WholeModel(model, CONTEXT, adapters=adapters)
    found = [whole.greedy(tokens, NUM_TOKENS) for tokens in prompts]
    whole.close()
    return found


def answers(home: CliHome) -> tuple[list[list[int]], list[list[int]]]:
    """The tokens of the prompts, and those of the cluster's answers."""
    params = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS)
    with cluster.connect(home.address, home.client_secret) as client:
        prompts = [list(client.tokenize(prompt)) for prompt in PROMPTS]
        return prompts, [list(client.generate(prompt, params).token_ids) for prompt in PROMPTS]


def test_greedy_text_equals_the_whole_model_with_the_adapter_after_a_repair_too(
    cli_home: CliHome, demo_model: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", demo_model)
    given = (*ARGUMENTS, "--lora", f"{adapter}:0.5")
    done = cli_home.run("up", *given)
    assert done.returncode == 0, done.stderr
    assert "already up" in cli_home.run("up", *given).stderr
    other = cli_home.run("up", *ARGUMENTS, "--lora", str(adapter))
    assert other.returncode == 2
    assert "lora differ" in other.stderr

    prompts, found = answers(cli_home)
    assert found == expected(demo_model, [(adapter, 0.5)], prompts)
    assert found != expected(demo_model, [], prompts)

    # Where the file was written to, all stages take the new one.
    write_adapter(adapter, demo_model, matrices_of(demo_model, seed=1))
    stages = json.loads(cli_home.run("status", "-o", "json").stdout)["stages"]
    os.kill(int(stages[1]["pid"]), signal.SIGKILL)
    repaired = cli_home.run("up")
    assert repaired.returncode == 0, repaired.stderr
    _, after = answers(cli_home)
    assert after == expected(demo_model, [(adapter, 0.5)], prompts)
    assert after != found


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_file_that_is_no_adapter_is_one_line_and_nothing_was_started(
    cli_home: CliHome, demo_model: Path, tmp_path: Path, size: int
) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", demo_model)
    adapter.write_bytes(adapter.read_bytes()[:size])
    done = cli_home.run("up", "--demo", "--lora", str(adapter))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"cluster: lora: {adapter}: ")
    assert "no cluster is up" in cli_home.run("down").stderr
