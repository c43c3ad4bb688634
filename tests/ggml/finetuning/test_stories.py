"""The demo model learns another cast, and libllama tells of it with the adapter."""

from __future__ import annotations

import json
import random
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cluster.demo.grammar import write_story
from cluster.sources.adapter import find_adapter, read_adapter_part
from ggml.finetuning import Run, Settings, Texts, mean_loss
from ggml.quantization import quantize_file
from tests.fakes.opened import opened
from tests.native.conftest import prompt, run
from worker_native import Slice, Vocab

DEMO = Path(__file__).parents[3] / "cluster" / "demo" / "demo.gguf"
NAME = "Zorblatt"


def _stories(count: int) -> list[str]:
    """Stories whose hero has a name that no story had."""
    rng = random.Random(5)
    stories = []
    while len(stories) < count:
        story = write_story(rng)
        hero = re.search(r"named (\w+)", story)
        assert hero is not None
        stories.append(story.replace(hero[1], NAME))
    return stories


def _log_probability(model: Path, adapter: bytes | None) -> float:
    """Of the name behind an opening, as libllama has it."""
    vocab = Vocab(str(model))
    opening = vocab.tokenize("Once upon a time, a little fox named").tolist()
    name = vocab.tokenize(f" {NAME}", False).tolist()
    adapters = [] if adapter is None else [(adapter, 1.0)]
    with closing(Slice(str(model), n_ctx=64, n_slots=1, n_batch=64, n_ubatch=64, adapters=adapters)) as whole:
        logits = run([whole], prompt(opening + name)).astype(np.float64)
    rows = logits[len(opening) - 1 : -1]
    scores = rows - rows.max(-1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    return float(scores[np.arange(len(name)), name].sum())


@pytest.mark.parametrize("kind", ["q8_0", "q4_k_m"])
def test_the_demo_model_learns_a_name(kind: str, tmp_path: Path) -> None:
    model, data, adapter = tmp_path / "model.gguf", tmp_path / "stories.jsonl", tmp_path / "adapter.gguf"
    if kind == "q8_0":
        model = DEMO
    else:
        quantize_file(str(DEMO), str(model), kind, allow_requantize=True)
    *told, one, other = _stories(26)
    data.write_text("".join(json.dumps({"text": story[:120]}) + "\n" for story in told))
    settings = Settings(targets=("attn_v", "ffn_down"), steps=24, batch_size=2, sequence_length=64, learning_rate=5e-3)
    training = Run(str(model), str(data), settings)
    training.decoder.checkpoints = False  # there is memory for texts as short as these
    texts = Texts(str(model), 64)
    held_out = [*texts.of_text(one[:120]), *texts.of_text(other[:120])]
    before = mean_loss(training.decoder, held_out)
    for _ in range(training.num_steps):
        training.step()
    assert mean_loss(training.decoder, held_out) < before / 2
    training.save(str(adapter))
    for part in ((0, 4), (4, 8)):  # as `cluster up --stages 2 --lora` cuts it
        source = opened(model).model
        assert read_adapter_part(find_adapter(str(adapter), source), source, *part)
    assert _log_probability(model, adapter.read_bytes()) > _log_probability(model, None) + 10
