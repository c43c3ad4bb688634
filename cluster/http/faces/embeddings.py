"""Embeddings as OpenAI's and Ollama's clients ask for them, and are answered."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.api.embedding import Embeddings
from cluster.http.faces.face import Body
from cluster.http.faces.fields import Fields
from cluster.http.faces.prompts import Prompt, prompts_of
from cluster.http.limits import MAX_EMBEDDINGS

_IS_BASE64 = {"float": False, "base64": True}


@dataclass(frozen=True, slots=True)
class EmbeddingsAsked:
    """What was asked for. `dimensions`: None is all that there are."""

    inputs: tuple[Prompt, ...]
    dimensions: int | None
    is_base64: bool
    ignored: tuple[str, ...]  # names of fields that mean nothing here


def openai_asked(body: Body) -> EmbeddingsAsked:
    """POST /v1/embeddings. UsageError that begins with the field's name."""
    fields = Fields(body)
    fields.skip("model", "user")
    inputs = prompts_of(fields, "input", MAX_EMBEDDINGS)
    is_base64 = fields.choice("encoding_format", _IS_BASE64, False)
    return EmbeddingsAsked(inputs, fields.whole("dimensions"), is_base64, fields.unread())


def ollama_asked(body: Body, name: str) -> EmbeddingsAsked:
    """POST /api/embed, whose texts are in `input`, and the older /api/embeddings, whose one is in `prompt`."""
    fields = Fields(body)
    fields.skip("model", "options", "keep_alive", "truncate")
    inputs = prompts_of(fields, name, MAX_EMBEDDINGS)
    return EmbeddingsAsked(inputs, fields.whole("dimensions"), False, fields.unread())


def openai_answer(asked: EmbeddingsAsked, found: Embeddings, model: str) -> Body:
    spell = _base64 if asked.is_base64 else _numbers
    data = [
        {"object": "embedding", "index": index, "embedding": spell(vector)}
        for index, vector in enumerate(found.vectors)
    ]
    return {"object": "list", "data": data, "model": model, "usage": prompt_usage(found.num_prompt_tokens)}


def ollama_answer(found: Embeddings, model: str, took_ns: int) -> Body:
    return {
        "model": model,
        "embeddings": found.vectors.tolist(),
        "total_duration": took_ns,
        "load_duration": 0,
        "prompt_eval_count": sum(found.num_prompt_tokens),
    }


def ollama_old_answer(found: Embeddings) -> Body:
    return {"embedding": _numbers(found.vectors[0])}


def prompt_usage(num_tokens: Sequence[int]) -> dict[str, Any]:
    """`usage` of what only reads."""
    return {"prompt_tokens": sum(num_tokens), "total_tokens": sum(num_tokens)}


def _numbers(vector: NDArray[np.float32]) -> list[float]:
    numbers: list[float] = vector.tolist()
    return numbers


def _base64(vector: NDArray[np.float32]) -> str:
    """float32, little-endian: what OpenAI's own clients ask for."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
