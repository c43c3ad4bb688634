"""Models with an encoder and a decoder, and models with two encoders, of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tests.ggml.zoo.library.encoders import VOCABULARY, masked_ids
from tests.ggml.zoo.library.fields import Fields
from tests.ggml.zoo.models import Arguments, Entry

_TOKENS = {
    "vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1
}  # fmt: skip
_WIDE = {
    **_TOKENS, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64,
}  # fmt: skip
_T5 = {**_TOKENS, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
_WHISPER = {**_WIDE, "num_mel_bins": 16, "max_source_positions": 20, "max_target_positions": 32}
_LONG, _TARGET = {0: "batch", 1: "length"}, {0: "batch", 1: "target"}


def _both(name: str, options: dict[str, Any], first: list[str]) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{name}Config")(**options)
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    names = [*first, "decoder_input_ids"]
    return Fields(model, names, ["logits", "encoder_last_hidden_state"], {"use_cache": False})


def _text(batch: int) -> Arguments:
    return (*masked_ids(batch), torch.randint(1, VOCABULARY, (batch, 4 + batch)))


def _speech(batch: int) -> Arguments:
    return torch.randn(batch, 16, 40), torch.randint(1, VOCABULARY, (batch, 4 + batch))


def _pair(name: str) -> nn.Module:
    """A tower for text and one for images, and how well each pair fits."""
    import transformers

    text = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        "projection_size": 32, "projection_dim": 32,
    }  # fmt: skip
    image = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "image_size": 32,
        "patch_size": 8, "projection_dim": 32,
    }  # fmt: skip
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=image, projection_dim=32)
    return Fields(
        getattr(transformers, f"{name}Model")(config),
        ["input_ids", "pixel_values"],
        ["logits_per_image", "text_embeds", "image_embeds"],
    )


def _text_and_images(batch: int) -> Arguments:
    return torch.randint(3, VOCABULARY, (batch + 1, 12)), torch.randn(batch, 3, 32, 32)


_MASKED = ["input_ids", "attention_mask"]

ENTRIES = [
    Entry(
        name, lambda kind=kind, options=options: _both(kind, options, _MASKED), _text, (_LONG, _LONG, _TARGET),
        library="transformers", is_quick=False,
    )
    for name, kind, options in (
        ("T5", "T5", _T5),
        ("T5 1.1", "T5", {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
        ("BART", "Bart", _WIDE),
        ("M2M-100", "M2M100", _WIDE),
        ("Pegasus", "Pegasus", _WIDE),
    )
] + [
    Entry(
        "Whisper", lambda: _both("Whisper", _WHISPER, ["input_features"]), _speech, ({0: "batch"}, _TARGET),
        library="transformers", is_quick=False,
    ),
    *[
        Entry(
            name, lambda kind=kind: _pair(kind), _text_and_images, ({0: "texts"}, {0: "images"}),
            library="transformers", is_quick=False,
        )
        for name, kind in (("CLIP", "CLIP"), ("SigLIP", "Siglip"))
    ],
]  # fmt: skip
