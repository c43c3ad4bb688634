"""What a caller of `generate` may give as prompts and parameters."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster.api.errors import UsageError
from cluster.api.nearest import did_you_mean
from cluster.api.sampling import PARAM_NAMES, SamplingParams

Prompt = str | list[int] | NDArray[np.integer[Any]]
Prompts = list[str] | list[list[int]] | list[NDArray[np.integer[Any]]] | Iterator[Prompt]


def to_token_ids(field: str, values: Iterable[Any]) -> list[int]:
    """Whole numbers of any kind as ints; UsageError for anything else."""
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        return [int(value) for value in values]
    if isinstance(values, str | bytes):
        raise UsageError(f"{field}: {type(values).__name__} is no list of token ids; give whole numbers")
    try:
        return [_token_id(value) for value in values]
    except TypeError as error:
        raise UsageError(f"{field}: {error}; give a list of whole numbers") from error


def _token_id(value: Any) -> int:
    if isinstance(value, bool):  # numpy's has no index
        raise TypeError("'bool' object is no token id")
    return operator.index(value)


def to_prompt(prompt: Any) -> str | list[int]:
    """One prompt: text, or token ids."""
    return prompt if isinstance(prompt, str) else to_token_ids("prompt", prompt)


def is_batch(prompt: Any) -> bool:
    """Whether `prompt` is several prompts: an iterator, or its first item is no number. [] is a batch of none."""
    if isinstance(prompt, Iterator):
        return True
    if isinstance(prompt, np.ndarray):
        return prompt.ndim > 1 or (prompt.ndim == 1 and prompt.dtype.kind == "U")
    if not isinstance(prompt, list | tuple):
        return False
    is_array = bool(prompt) and isinstance(prompt[0], np.ndarray)  # one without axes is a number
    return not prompt or (prompt[0].ndim > 0 if is_array else isinstance(prompt[0], str | list | tuple))


def merge_params(params: SamplingParams | None, overrides: dict[str, Any]) -> SamplingParams:
    """`params` (or the defaults) with some fields replaced; UsageError names the nearest known field."""
    for name in overrides:
        if name not in PARAM_NAMES:
            hint = did_you_mean(name, PARAM_NAMES, f"give one of {', '.join(PARAM_NAMES)}")
            raise UsageError(f"{name}: no such sampling parameter; {hint}")
    return replace(params or SamplingParams(), **overrides)
