"""Tiny models of described architectures that have words: their own vocabularies are of no use for texts."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ggml.gguf.encode import ALIGNMENT, encode_header
from tests.native.arch_models import descriptions, metadata_from, tensors_of

_OF_TOKENS = ("token_embd.weight", "output.weight")


def write_speaking(path: Path, name: str, tokens: Sequence[tuple[str, int]]) -> Path:
    """The model of that description, with these tokens (text, type), of which 1 begins texts and 2 ends them."""
    texts, kinds = zip(*tokens, strict=True)
    architecture = name.partition("-")[0]
    own = {
        "tokenizer.ggml.model": ["STRING", "llama"],
        "tokenizer.ggml.tokens": ["ARRAY:STRING", texts],
        "tokenizer.ggml.scores": ["ARRAY:FLOAT32", [-float(index) for index in range(len(tokens))]],
        "tokenizer.ggml.token_type": ["ARRAY:INT32", kinds],
        "tokenizer.ggml.bos_token_id": ["UINT32", 1],
        "tokenizer.ggml.eos_token_id": ["UINT32", 2],
        "tokenizer.ggml.add_space_prefix": ["BOOL", False],
        f"{architecture}.vocab_size": ["UINT32", len(tokens)],
    }
    tensors = [
        replace(one, shape=(len(tokens), *one.shape[1:])) if one.name in _OF_TOKENS else one for one in tensors_of(name)
    ]
    with path.open("wb") as file:
        file.write(encode_header(metadata_from({"metadata": descriptions()[name]["metadata"] | own}), tensors))
        for one in tensors:
            rng = np.random.default_rng(zlib.crc32(one.name.encode()))
            values = rng.standard_normal(one.shape, dtype=np.float32) * np.float32(0.1)
            file.write(values.tobytes())
            file.write(bytes(-one.size_bytes % ALIGNMENT))
    return path
