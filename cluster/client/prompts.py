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
from cluster.api.prompt import Segment, Segments
from cluster.api.sampling import PARAM_NAMES, SamplingParams

Text = str | Segments
Prompt = Text | list[int] | NDArray[np.integer[Any]]
Prompts = list[str] | list[Segments] | list[list[int]] | list[NDArray[np.integer[Any]]] | Iterator[Prompt]


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


def to_prompt(prompt: Any, field: str = "prompt") -> Text | list[int]:
    """One prompt: text, segments of one, or token ids. `field`: what an error calls it."""
    return to_text(field, prompt) if isinstance(prompt, str) or _is_segments(prompt) else to_token_ids(field, prompt)


def to_text(field: str, text: Any) -> Text:
    """A text, or its segments; UsageError for anything else."""
    if isinstance(text, str):
        return text
    if not _is_segments(text):
        raise UsageError(f"{field}: {type(text).__name__} is no text; give a str, or a tuple of Segment")
    for segment in text:
        if not isinstance(segment, Segment) or not isinstance(segment.text, str):
            raise UsageError(f"{field}: {segment!r} is no Segment with a text; give a tuple of those")
        if not isinstance(segment.parse_special, bool):
            raise UsageError(f"{field}: parse_special {segment.parse_special!r} is not a boolean; give True or False")
    return tuple(text)


def _is_segments(prompt: Any) -> bool:
    return isinstance(prompt, list | tuple) and bool(prompt) and isinstance(prompt[0], Segment)


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
