"""Encoders of tokens, of transformers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from tests.ggml.zoo.library.fields import Fields
from tests.ggml.zoo.models import Arguments, Entry

VOCABULARY = 60
_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 40, "pad_token_id": 0,
}  # fmt: skip
_LONG = {0: "batch", 1: "length"}


def masked_ids(batch: int) -> Arguments:
    """Token ids and a mask, whose first sequence is shorter; the length differs with the batch."""
    length = 7 + batch
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[0, 6:] = 0
    return torch.randint(1, VOCABULARY, (batch, length)), mask


def _make(name: str, **options: Any) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{name}Config")(**{**_SIZES, **options})
    return Fields(getattr(transformers, f"{name}Model")(config), ["input_ids", "attention_mask"])


def _fixed_ids(batch: int) -> Arguments:
    return tuple([one[:, :8] for one in masked_ids(batch)])


def _entry(name: str, kind: str, is_quick: bool = False, is_fixed: bool = False, **options: Any) -> Entry:
    """``is_fixed`` says that the model reads the length from a tensor, so that it cannot differ."""
    axes, arguments = ({0: "batch"}, _fixed_ids) if is_fixed else (_LONG, masked_ids)
    return Entry(
        name, partial(_make, kind, **options), arguments, (axes, axes), library="transformers", is_quick=is_quick
    )


_DISTILLED = {"dim": 32, "n_heads": 4, "n_layers": 2, "hidden_dim": 64}
_DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}

ENTRIES = [
    _entry("BERT (transformers)", "Bert"),
    _entry("RoBERTa", "Roberta"),
    _entry("DistilBERT", "DistilBert", **_DISTILLED),
    _entry("ALBERT", "Albert", embedding_size=16),
    _entry("ELECTRA", "Electra", embedding_size=16),
    _entry("DeBERTa", "Deberta", is_fixed=True, **_DISENTANGLED),
    _entry("DeBERTa V2", "DebertaV2", **_DISENTANGLED, position_buckets=8),
    _entry("ModernBERT", "ModernBert", bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2),
    _entry("MPNet", "MPNet"),
    _entry("NomicBERT", "NomicBert", bos_token_id=1, eos_token_id=2),
]
