"""Models of transformers, exported with the cache of transformers, write the texts that transformers writes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
pytest.importorskip("transformers", reason="transformers is not installed")

import ggml  # noqa: E402
from ggml import SamplingParams  # noqa: E402
from tests.ggml.torchvision_ops import make_importable  # noqa: E402

pytestmark = pytest.mark.slow

PROMPTS = [[1, 2, 3, 4, 90], [7], [33, 5]]
SIZES = {"vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


def model(name: str) -> Any:
    import transformers

    torch.manual_seed(0)
    named: dict[str, Any] = {
        "Llama": {"num_key_value_heads": 2},
        "Qwen2": {"num_key_value_heads": 2},
        "Qwen3": {"num_key_value_heads": 2, "head_dim": 8},
        "GPTNeoX": {},
    }[name]
    config = getattr(transformers, f"{name}Config")(**SIZES, max_position_embeddings=128, **named)
    config.eos_token_id = None
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", ["Llama", "Qwen2", "Qwen3", "GPTNeoX"])
def test_texts_are_those_of_transformers(name: str, batch: int) -> None:
    make_importable()
    from transformers.integrations.executorch import TorchExportableModuleWithStaticCache

    inner = model(name)
    wanted = [
        inner.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0, len(prompt) :].tolist()
        for prompt in PROMPTS
    ]
    inner.generation_config.cache_implementation = "static"
    exportable = TorchExportableModuleWithStaticCache(inner, batch_size=batch, max_cache_len=64)
    count = torch.export.Dim("count", min=1, max=63)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch and transformers, about themselves
        exported = torch.export.export(
            exportable,
            (),
            {"input_ids": torch.zeros((batch, 3), dtype=torch.int64), "cache_position": torch.arange(3)},
            dynamic_shapes={"input_ids": {1: count}, "cache_position": {0: count}},
            strict=True,
        )
    program = ggml.export.lower(exported)
    found = ggml.generate(program, PROMPTS, SamplingParams(max_tokens=8, temperature=0.0))
    assert [one.tokens for one in found] == wanted
    num_recordings = program.num_recordings
    ggml.generate(program, PROMPTS, SamplingParams(max_tokens=20, temperature=1.0))
    assert program.num_recordings == num_recordings
