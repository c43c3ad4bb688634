"""A model that drafts: only one with the same tokens, and with memory of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.api.errors import CapacityError, UsageError
from cluster.config import ClusterConfig
from cluster.coordinator.spec import CoordinatorSpec
from cluster.demo import model_path
from cluster.planning.any_plan import check_any, plan_model
from cluster.planning.drafts import Beside, plan_draft, what_differs
from cluster.sources.opening import open_model
from cluster.sources.resolve import resolve
from ggml.gguf.value import MetadataArray, MetadataValue, ValueType, uint32
from ggml.tokenizers.keys import TOKENS, tokenizer_keys
from tests.fakes.fake_nodes import FakeNodes, fake_node
from tests.fakes.tiny_models import TinyModel, write_tiny
from tests.native.tiny_encoder import write_encoder

DEMO = str(model_path())
CONFIG = ClusterConfig(model=DEMO, stages=2, ctx_size=64, threads=1, draft=DEMO)
NODES = FakeNodes((fake_node("one"),))
KEYS = tokenizer_keys(open_model(resolve(DEMO)).model.header.metadata)
TYPES = "tokenizer.ggml.token_type"


def array(key: str) -> MetadataArray:
    found = KEYS[key].value
    assert isinstance(found, MetadataArray)
    return found


def with_array(key: str, **changes: Any) -> dict[str, MetadataValue]:
    return {**KEYS, key: MetadataValue(ValueType.ARRAY, replace(array(key), **changes))}


def test_equal_vocabularies_are_equal() -> None:
    assert what_differs(KEYS, dict(KEYS)) == ""


def test_what_differs_is_told() -> None:
    raw = array(TOKENS).raw
    last = array(TOKENS).strings()[-1]
    changed = raw[: len(raw) - 1] + bytes([raw[-1] ^ 1])
    fewer = raw[: len(raw) - 8 - len(last)]
    count = array(TOKENS).count
    assert what_differs(KEYS, with_array(TOKENS, raw=fewer, count=count - 1)) == f"{count - 1} tokens, not {count}"
    assert what_differs(KEYS, with_array(TOKENS, raw=changed)).startswith(f"token {count - 1} is '")
    kinds = np.array(array(TYPES).numbers())
    kinds[5] += 1
    assert what_differs(KEYS, with_array(TYPES, raw=kinds.tobytes())) == "token 5 has another type"
    without = {key: value for key, value in KEYS.items() if key != TYPES}
    assert what_differs(KEYS, without) == "only one of both says the types of its tokens"
    eos = KEYS["tokenizer.ggml.eos_token_id"].value
    assert what_differs(KEYS, {**KEYS, "tokenizer.ggml.eos_token_id": uint32(7)}) == f"its EOS token is 7, not {eos}"
    assert what_differs(KEYS, {}) == f"0 tokens, not {count}"


def test_another_vocabulary_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    other = write_tiny(tmp_path / "other.gguf", TinyModel(num_layers=2))
    config = replace(CONFIG, draft=str(other))
    told = r"draft: .*other\.gguf: its vocabulary is not that of .*tokens, not"
    with pytest.raises(UsageError, match=told):
        check_any(config)
    with pytest.raises(UsageError, match=told):
        plan_model(config, nodes=NODES)
    with pytest.raises(UsageError, match=r"draft: .*makes no text"):
        check_any(
            replace(CONFIG, model=str(write_encoder(tmp_path / "encoder.gguf", pooling=1)), stages=None, ctx_size=None)
        )
    with pytest.raises(UsageError, match=r"none\.gguf"):
        check_any(replace(CONFIG, draft=str(tmp_path / "none.gguf")))


def test_a_model_with_the_same_tokens_is_told_to_the_coordinator() -> None:
    spec = plan_model(CONFIG, nodes=NODES).coordinator
    assert isinstance(spec, CoordinatorSpec)
    assert spec.draft == "model"
    assert spec.draft_model is not None
    assert spec.draft_model.name == "demo.gguf on CPU"
    assert (spec.draft_model.context_length, spec.draft_model.num_slots) == (64, 2)
    assert spec.draft_model.model_hash == spec.model_hash


def test_its_memory_is_taken_from_its_device() -> None:
    nodes = FakeNodes((fake_node("one", "CPU", "CUDA0"), fake_node("two", "CPU")))
    found = plan_draft(CONFIG, nodes)
    assert found is not None
    assert 3_000_000 < found.num_bytes < 100_000_000
    left = Beside(nodes, found).facts
    before = nodes.facts[0].device("CPU")
    after = left[0].device("CPU")
    assert before is not None and after is not None
    assert before.memory_free_bytes - after.memory_free_bytes == found.num_bytes
    assert left[0].device("CUDA0") == nodes.facts[0].device("CUDA0")
    assert left[1] == nodes.facts[1]
    assert plan_draft(replace(CONFIG, draft="auto"), nodes) is None


def test_what_has_no_room_or_no_device_is_refused() -> None:
    with pytest.raises(CapacityError, match=r"draft: .*demo\.gguf needs .* MiB, one/CPU has 0\.9 MiB for it"):
        plan_draft(CONFIG, FakeNodes((fake_node("one", free_bytes=2**20),)))
    with pytest.raises(UsageError, match="draft-device: no 'CUDA7' on one; there are CPU"):
        plan_draft(replace(CONFIG, draft_device="CUDA7"), FakeNodes((fake_node("one"),)))
