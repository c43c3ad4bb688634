"""A cluster with a LoRA adapter answers as the whole model with it does."""

from __future__ import annotations

from pathlib import Path

import pytest

import cluster
from cluster.client.sync import Client
from cluster.sources.adapter import find_adapter
from tests.fakes.adapters import write_adapter
from tests.fakes.opened import opened
from tests.http.serving import cluster_of
from tests.native.tiny_model import TinyModel, write_model
from tests.reference import WholeModel

CONTEXT = 256
PROMPTS = ("the cat", "the", " on the mat, and then")
NUM_TOKENS = 24


@pytest.mark.usefixtures("slice_cache")
def test_texts_are_those_of_the_whole_model_with_the_adapter(tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny.gguf", TinyModel())
    adapter = write_adapter(tmp_path / "adapter.gguf", model)
    told = find_adapter(f"{adapter}:0.75", opened(model).model)
    plain, whole = WholeModel(model, CONTEXT), WholeModel(model, CONTEXT, adapters=[(adapter, 0.75)])
    params = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS)
    with cluster_of(str(model), context_length=CONTEXT, adapters=(told,)) as (_, _, endpoint), Client(endpoint) as asks:
        different = 0
        for prompt in PROMPTS:
            tokens = asks.tokenize(prompt)
            expected = whole.greedy(tokens, NUM_TOKENS)
            assert list(asks.generate(prompt, params).token_ids) == expected
            different += plain.greedy(tokens, NUM_TOKENS) != expected
    assert different
    plain.close()
    whole.close()
