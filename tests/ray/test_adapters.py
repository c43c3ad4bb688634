"""`cluster up --lora`: the answers of the whole model with the adapter, and one line for a file that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

import cluster
from tests.conftest import CliHome, UpCluster
from tests.fakes.adapters import matrices_of, write_adapter
from tests.reference import WholeModel

CONTEXT = 256
GREEDY = cluster.SamplingParams(temperature=0.0, max_tokens=32)


def test_greedy_text_equals_the_whole_model_with_the_adapter(
    up_cluster: UpCluster, demo_model: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", demo_model)
    plain, whole = WholeModel(demo_model, CONTEXT), WholeModel(demo_model, CONTEXT, adapters=[(adapter, 0.5)])
    arguments = ("--demo", "--stages", "2", "-c", str(CONTEXT), "-t", "1", "--http", "off")
    with up_cluster(*arguments, "--lora", f"{adapter}:0.5") as home:
        assert "already up" in home.run("up", *arguments, "--lora", f"{adapter}:0.5").stderr
        other = home.run("up", *arguments, "--lora", str(adapter))
        assert other.returncode == 2 and "lora differ" in other.stderr
        with cluster.connect(home.address, home.client_secret) as client:
            different = 0
            for prompt in ("Once upon a time", "The rabbit was sad because", "x"):
                tokens = client.tokenize(prompt)
                expected = whole.greedy(tokens, GREEDY.max_tokens or 0)
                assert list(client.generate(prompt, GREEDY).token_ids) == expected
                different += plain.greedy(tokens, GREEDY.max_tokens or 0) != expected
    assert different
    plain.close()
    whole.close()


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_file_that_is_no_adapter_is_one_line_and_nothing_was_started(
    cli_home: CliHome, demo_model: Path, tmp_path: Path, size: int
) -> None:
    adapter = write_adapter(tmp_path / "a.gguf", demo_model, matrices_of(demo_model))
    adapter.write_bytes(adapter.read_bytes()[:size])
    done = cli_home.run("up", "--demo", "--lora", str(adapter))
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(f"cluster: lora: {adapter}: ")
    assert "no cluster is up" in cli_home.run("down").stderr
