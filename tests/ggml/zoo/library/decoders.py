"""Causal language models, of transformers."""

from __future__ import annotations

from typing import Any

import torch

from tests.ggml.zoo.library.fields import Fields
from tests.ggml.zoo.models import Arguments, Entry

VOCABULARY = 60
_TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_SIZES = {
    **_TOKENS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
_GROUPED = {**_SIZES, "num_key_value_heads": 2}
_HEADS = {**_GROUPED, "head_dim": 8}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def _ids(batch: int) -> Arguments:
    return (torch.randint(1, VOCABULARY, (batch, 7 + batch)),)


def _fixed_ids(batch: int) -> Arguments:
    return (torch.randint(1, VOCABULARY, (batch, 6)),)


def causal(name: str, options: dict[str, Any]) -> Fields:
    """A language model of transformers by the name of its family: token ids in, logits out."""
    import transformers

    config = getattr(transformers, f"{name}Config")(**options)
    head = "LMHeadModel" if name == "GPT2" else "ForCausalLM"
    model = getattr(transformers, name.removesuffix("Text") + head)(config)
    return Fields(model, ["input_ids"], ["logits"], {"use_cache": False})


def _entry(name: str, kind: str, options: dict[str, Any], is_quick: bool = False, is_fixed: bool = False) -> Entry:
    """``is_fixed`` says that the model walks along the sequence in Python, so that its length cannot differ."""
    axes = {0: "batch"} if is_fixed else {0: "batch", 1: "length"}
    arguments = _fixed_ids if is_fixed else _ids
    return Entry(name, lambda: causal(kind, options), arguments, (axes,), library="transformers", is_quick=is_quick)


_GPT2 = {**_TOKENS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
_RWKV = {**_TOKENS, "hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2, "rescale_every": 0}
_MAMBA = {**_TOKENS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}

ENTRIES = [
    _entry("GPT-2 (transformers)", "GPT2", _GPT2),
    _entry("GPT-NeoX", "GPTNeoX", _SIZES),
    _entry("GPT-J", "GPTJ", {**_GPT2, "rotary_dim": 4}),
    _entry("OPT", "OPT", {**_SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    _entry("BLOOM", "Bloom", {**_TOKENS, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    _entry("Llama (transformers)", "Llama", _GROUPED, is_quick=True),
    _entry("Qwen2", "Qwen2", _GROUPED),
    _entry("Qwen3", "Qwen3", _HEADS),
    _entry("Mistral", "Mistral", {**_GROUPED, "sliding_window": 4}),
    _entry("Gemma 2", "Gemma2", {**_HEADS, "sliding_window": 4}),
    _entry(
        "Gemma 3", "Gemma3Text", {**_HEADS, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}
    ),
    _entry("Phi-3", "Phi3", _GROUPED),
    _entry("Falcon", "Falcon", {**_SIZES, "multi_query": True, "new_decoder_architecture": False}),
    _entry("StableLM", "StableLm", _GROUPED),
    _entry("OLMo 2", "Olmo2", _GROUPED),
    _entry("Cohere", "Cohere", _GROUPED),
    _entry("Granite", "Granite", _GROUPED),
    _entry("Mixtral", "Mixtral", {**_GROUPED, **_EXPERTS}),
    _entry("Qwen3-MoE", "Qwen3Moe", {**_HEADS, **_EXPERTS}),
    _entry("Mamba (transformers)", "Mamba", _MAMBA, is_fixed=True),
    _entry("RWKV", "Rwkv", _RWKV, is_fixed=True),
]
