"""A cluster with a LoRA adapter answers as the whole model with it does, and tells of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import cluster
from cluster.client.sync import Client
from cluster.sources.adapter import find_adapter
from tests.fakes.adapters import write_adapter
from tests.fakes.opened import opened
from tests.http.serving import Served, serving
from tests.native.tiny_model import TinyModel, write_model
from tests.reference import WholeModel

CONTEXT = 256
SCALE = 0.75
PROMPTS = ("the cat", "the", " on the mat, and then")
NUM_TOKENS = 24


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and an adapter for it."""
    folder = tmp_path_factory.mktemp("adapted")
    model = write_model(folder / "tiny.gguf", TinyModel())
    return model, write_adapter(folder / "adapter.gguf", model)


@pytest.fixture(scope="module")
def adapted(slice_cache: None, files: tuple[Path, Path]) -> Iterator[Served]:
    model, adapter = files
    told = find_adapter(f"{adapter}:{SCALE}", opened(model).model)
    with serving(model=str(model), context_length=CONTEXT, adapters=(told,)) as found:
        yield found


def test_texts_are_those_of_the_whole_model_with_the_adapter(adapted: Served, files: tuple[Path, Path]) -> None:
    model, adapter = files
    plain, whole = WholeModel(model, CONTEXT), WholeModel(model, CONTEXT, adapters=[(adapter, SCALE)])
    params = cluster.SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS)
    different = 0
    with Client(adapted.endpoint) as client:
        for prompt in PROMPTS:
            tokens = client.tokenize(prompt)
            expected = whole.greedy(tokens, NUM_TOKENS)
            assert list(client.generate(prompt, params).token_ids) == expected
            different += plain.greedy(tokens, NUM_TOKENS) != expected
    assert different
    plain.close()
    whole.close()


def test_adapters_are_listed_and_keep_their_scales(adapted: Served) -> None:
    (found,) = adapted.get("/lora-adapters").json()
    assert found == {"id": 0, "path": "adapter.gguf", "scale": SCALE}
    refused = adapted.post("/lora-adapters", [{"id": 0, "scale": 0.0}])
    assert refused.status == 501
    assert "cluster up --lora" in refused.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/completion", "/v1/completions"])
def test_a_scale_of_its_own_is_refused(adapted: Served, path: str) -> None:
    body = {"prompt": "the", "max_tokens": 2, "lora": [{"id": 0, "scale": 0.0}]}
    refused = adapted.post(path, body)
    assert refused.status == 400
    assert refused.json()["error"]["param"] == "lora"
    assert adapted.post(path, body | {"lora": []}).status == 200


def test_without_adapters_none_is_listed(served: Served) -> None:
    assert served.get("/lora-adapters").json() == []
