"""The parameters of sampling, by the names that OpenAI's API and llama-server have for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.http.faces.adapters import lora_of
from cluster.http.faces.fields import PLAIN_SAMPLING, Fields, sampling

SAMPLING = {**PLAIN_SAMPLING, "repetition_penalty": "repeat_penalty"}


def params_of(
    fields: Fields, *, limits: tuple[str, ...], max_tokens: int | None, num_top: int = 0, grammar: str = ""
) -> SamplingParams:
    """UsageError that names the field.

    Args:
        limits: names of the field with the most tokens; the first one that is there is taken.
        max_tokens: where there is none of them.
        num_top: the most probable tokens to tell of at each position.
    """
    named = next((name for name in limits if fields.any(name) is not None), limits[0])
    names = {**SAMPLING, named: "max_tokens"}
    defaults: dict[str, Any] = {"max_tokens": max_tokens, "logprobs": num_top, "logit_bias": _biases(fields)}
    return sampling(fields, names, **{**defaults, "grammar": grammar, "lora": lora_of(fields)})


def num_choices_of(fields: Fields, num_slots: int) -> int:
    """`n`: at most as many as are computed at a time."""
    number = fields.whole("n", 1)
    assert number is not None, "it has a default"
    if not 1 <= number <= num_slots:
        raise fields.wrong("n", f"{number} is out of range; give 1 to {num_slots}, the number of slots")
    return number


def num_top_of(fields: Fields, name: str, most: int) -> int:
    number = fields.whole(name, 0)
    assert number is not None, "it has a default"
    if not 0 <= number <= most:
        raise fields.wrong(name, f"{number} is out of range; give 0 to {most}")
    return number


def _biases(fields: Fields) -> tuple[tuple[int, float], ...]:
    """An object of numbers by token id, or llama-server's list of pairs, where false bans a token."""
    given = fields.any("logit_bias")
    if given is None:
        return ()
    pairs = given.items() if isinstance(given, Mapping) else given
    if not isinstance(given, Mapping | list):
        raise fields.wrong("logit_bias", "is neither an object nor a list; give numbers by token id")
    return tuple(_bias(fields, pair) for pair in pairs)


def _bias(fields: Fields, pair: Any) -> tuple[int, float]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise fields.wrong("logit_bias", "an item is no pair; give a token id and a number")
    token, bias = pair
    if isinstance(token, str) and token.isascii() and token.isdigit() and len(token) < 12:
        token = int(token)
    if isinstance(token, bool) or not isinstance(token, int):
        raise UsageError("logit_bias: a key is no token id; give token ids, as /tokenize tells them")
    return token, -math.inf if bias is False else bias
