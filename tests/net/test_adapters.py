"""A LoRA adapter that is on one host only reaches the stages on the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fakes.adapters import write_adapter
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.net.conftest import made_hosts
from tests.net.together import Together
from tests.reference import WholeModel

PROMPT = [5, 9, 2, 30, 7, 11, 64, 3, 8]
NUM_TOKENS = 16
ASK = """
prompt, num_tokens, scales = arguments
params = cluster.SamplingParams(temperature=0.0, max_tokens=num_tokens, ignore_eos=True)
answer = [list(client.generate(prompt, params, lora=lora and {0: lora[0]}).token_ids) for lora in scales]
"""


@pytest.fixture(scope="module")
def files(has_rights: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("adapted")
    model = write_tiny(folder / "model.gguf", TinyModel())
    return model, write_adapter(folder / "adapter.gguf", model)


@pytest.mark.slow
def test_stages_on_other_hosts_have_their_part_of_it(files: tuple[Path, Path], tmp_path: Path) -> None:
    model, adapter = files
    expected = []
    for scale in (0.5, 0.0, -1.0):
        whole = WholeModel(model, 128, adapters=[(adapter, scale)] if scale else [])
        expected.append(whole.greedy(PROMPT, NUM_TOKENS))
        whole.close()
    with made_hosts(tmp_path, 2) as hosts:
        for file in files:
            shutil.copy(file, hosts[1].disk)
        arguments = ("/tmp/model.gguf", "--layers", "0-1,2-3", "-c", "128", "-t", "1")
        together = Together.start(hosts, *arguments, "--lora", "/tmp/adapter.gguf:0.5", num_nodes=2)
        assert together.ask("answer = sorted({stage.node for stage in client.status().stages})") == ["one", "two"]
        assert together.ask(ASK, PROMPT, NUM_TOKENS, [[], [0.0], [-1.0]]) == expected
        together.down()
