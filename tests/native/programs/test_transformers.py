"""Models of transformers with the cache and the tokenizer of theirs, served in slices: the texts that transformers
writes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ggml-cluster[torch]'")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed")

import ggml  # noqa: E402
from tests.ggml.tokenizers.test_converting import byte_level  # noqa: E402
from tests.ggml.torchvision_ops import make_importable  # noqa: E402
from tests.native.programs.serving import served_program  # noqa: E402

pytestmark = pytest.mark.slow

PROMPTS = ["Once upon a time", "the cluster is up", "def f(x):"]
SIZES = {
    "vocab_size": 2000, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "max_position_embeddings": 128,
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    "Llama": {"num_key_value_heads": 2},
    "Mistral": {"num_key_value_heads": 2, "sliding_window": None},
    "Qwen2": {"num_key_value_heads": 2},
    "Qwen3": {"num_key_value_heads": 2, "head_dim": 16},
    "GPTNeoX": {},
}


@pytest.mark.parametrize("name", MORE)
def test_texts_are_those_of_transformers(name: str, tmp_path: Path, cache: Path) -> None:
    make_importable()
    import transformers
    from transformers.integrations.executorch import TorchExportableModuleWithStaticCache

    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(getattr(transformers, f"{name}Config")(**SIZES, **MORE[name]))
    model = model.eval()
    tokenizer = byte_level(None)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    model.generation_config.eos_token_id = None
    wanted = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        wanted.append(model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :].tolist())
    model.generation_config.cache_implementation = "static"
    exportable = TorchExportableModuleWithStaticCache(model, batch_size=1, max_cache_len=128)
    count = torch.export.Dim("count", min=1, max=127)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch and transformers, about themselves
        exported = torch.export.export(
            exportable,
            (),
            {"input_ids": torch.zeros((1, 3), dtype=torch.int64), "cache_position": torch.arange(3)},
            dynamic_shapes={"input_ids": {1: count}, "cache_position": {0: count}},
            strict=True,
        )
    ggml.export.lower(exported, require="ggml").save(tmp_path / "model.ggp", tokenizer=tmp_path / "tokenizer.json")
    with served_program(tmp_path / "model.ggp", 3, parallel=3) as found, found.client() as client:
        assert client.model().vocab_size == 2000
        streams = [client.stream(prompt, max_tokens=12, temperature=0.0, ignore_eos=True) for prompt in PROMPTS]
        texts = [[event.token for event in stream] for stream in streams]
        assert found.joins() == {True}
    assert texts == wanted
