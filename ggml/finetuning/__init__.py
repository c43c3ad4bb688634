"""LoRA for the models of GGUF files, where they lie: the module, the adapter's file, and the run of a command."""

from __future__ import annotations

from ggml.finetuning.adapter import add_lora, load_adapter, save_adapter
from ggml.finetuning.decoder import LAYER_TARGETS, Decoder, load_decoder
from ggml.finetuning.loss import chunked_cross_entropy
from ggml.finetuning.settings import Settings
from ggml.finetuning.texts import Example, Texts
from ggml.finetuning.training import Done, Run, mean_loss

__all__ = [
    "LAYER_TARGETS",
    "Decoder",
    "Done",
    "Example",
    "Run",
    "Settings",
    "Texts",
    "add_lora",
    "chunked_cross_entropy",
    "load_adapter",
    "load_decoder",
    "mean_loss",
    "save_adapter",
]
