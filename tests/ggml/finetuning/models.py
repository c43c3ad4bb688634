"""Tiny models, libllama without 16-bit keys and values beside them, and the same decoder in PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ggml.finetuning import Decoder
from tests.fakes.tiny_models import TinyModel
from tests.reference import WholeModel

MODELS = {
    "llama": TinyModel("llama", rope_factors=True),
    "tied": TinyModel("llama", tied=True),
    "tied-q8": TinyModel("llama", num_layers=2, tied=True, kind="Q8_0"),
    "tied-f16": TinyModel("llama", num_layers=2, tied=True, kind="F16"),
    "bf16": TinyModel("qwen3", num_layers=2, kind="BF16"),
    "q8": TinyModel("qwen3", kind="Q8_0"),
    "q4": TinyModel("llama", kind="Q4_0"),
    "qwen2": TinyModel("qwen2", num_layers=2, num_kv_heads=4),
    "qwen3": TinyModel("qwen3", num_layers=2),
}
TOKENS = np.random.default_rng(3).integers(3, 288, 70).tolist()


@contextlib.contextmanager
def as_here(repacks: bool = False) -> Iterator[None]:
    """libllama keeps keys and values as float32 and attends without flash attention, as the module does, and leaves
    weights in the file's order: kernels for repacked ones sum in another (llama.cpp's ``--no-repack``)."""
    plain, plain_model = llama_cpp.llama_context_default_params, llama_cpp.llama_model_default_params

    def exact() -> Any:
        params = plain()
        params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return params

    def exact_model() -> Any:
        params = plain_model()
        params.use_extra_bufts = repacks
        return params

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama_cpp, "llama_context_default_params", exact)
        patch.setattr(llama_cpp, "llama_model_default_params", exact_model)
        yield


def libllama(
    path: Path, tokens: Sequence[int], adapters: Sequence[tuple[Path, float]] = (), repacks: bool = False
) -> NDArray[np.float32]:
    """Logits [T, V]."""
    with as_here(repacks):
        whole = WholeModel(path, 256, adapters=adapters)
        found = whole.forward(tokens)
        whole.close()
    return found


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference beside the largest value."""
    return float(np.abs(one - other).max() / np.abs(other).max())


def torch_loss(model: Decoder, params: dict[str, torch.Tensor], tokens: Any, targets: Any) -> torch.Tensor:
    """The sum of what the targets cost, with the decoder written again in PyTorch; ``params`` are the LoRA matrices."""
    state = {name: torch.tensor(one.float().numpy()) for name, one in model.state_dict().items()}
    shape, (batch, length) = model.shape, tokens.shape

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        if f"{name}.lora_A" not in params:
            return torch.nn.functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))
        y = torch.nn.functional.linear(x, state[f"{name}.base.weight"], state.get(f"{name}.base.bias"))
        scale = model.get_submodule(name).scaling
        return y + scale * (x @ params[f"{name}.lora_A"].T) @ params[f"{name}.lora_B"].T

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return torch.nn.functional.rms_norm(x, x.shape[-1:], state[f"{name}.weight"], shape.epsilon)

    def turned(x: torch.Tensor) -> torch.Tensor:
        half = shape.num_rotated // 2
        angles = torch.arange(length)[:, None, None] * shape.rope_base ** (-torch.arange(half) / half)
        cos, sin = angles.cos(), angles.sin()
        if shape.rope_mode == "neox":
            one, other = x[..., :half], x[..., half:]
            return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)
        one, other = x[..., ::2], x[..., 1::2]
        return torch.stack([one * cos - other * sin, other * cos + one * sin], -1).flatten(-2)

    x = state["token_embd.weight"][torch.tensor(tokens).long()]
    for layer in range(shape.num_layers):
        prefix = f"blk.{layer}."
        rows = norm(x, f"{prefix}attn_norm")
        query, key, value = (
            linear(rows, f"{prefix}attn_{part}").reshape(batch, length, -1, shape.head_width) for part in "qkv"
        )
        if shape.architecture == "qwen3":
            query, key = norm(query, f"{prefix}attn_q_norm"), norm(key, f"{prefix}attn_k_norm")
        seen = torch.nn.functional.scaled_dot_product_attention(
            turned(query).transpose(1, 2), turned(key).transpose(1, 2), value.transpose(1, 2),
            is_causal=True, enable_gqa=True,
        )  # fmt: skip
        x = x + linear(seen.transpose(1, 2).reshape(batch, length, -1), f"{prefix}attn_output")
        rows = norm(x, f"{prefix}ffn_norm")
        gate = torch.nn.functional.silu(linear(rows, f"{prefix}ffn_gate"))
        x = x + linear(gate * linear(rows, f"{prefix}ffn_up"), f"{prefix}ffn_down")
    logits = linear(norm(x, "output_norm"), "token_embd" if model.output is None else "output")
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), torch.tensor(targets).long().flatten(), reduction="sum"
    )
