"""What the last stage has to know of a request's parameters, and what of them this model cannot do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cluster.api.errors import UsageError
from cluster.api.sampling import SamplingParams
from cluster.engine.text.vocabulary import Vocabulary
from cluster.messages.pictures import PictureRows

# So that the event that they come with fits into one message.
MAX_PROMPT_LOGPROBS = 1 << 19


def completed(
    params: SamplingParams | None, num_prompt_tokens: int, vocabulary: Vocabulary, choose_seed: Callable[[], int]
) -> SamplingParams | None:
    """With a seed, and the tokens of the model that end a text where these are not to be drawn. UsageError."""
    if params is None:
        return None
    _check_named(params, vocabulary)
    _check_scored(params, num_prompt_tokens)
    changes: dict[str, Any] = {}
    if params.seed is None:
        changes["seed"] = choose_seed()
    if params.lora:
        changes["lora"] = ()  # all stages are told of it, with each microbatch
    ends = sorted(vocabulary.end_tokens)
    if params.grammar:
        pass  # it says itself when the text may end
    elif params.ignore_eos:
        changes["logit_bias"] = (*params.logit_bias, *((token, -math.inf) for token in ends))
    elif params.min_tokens:
        changes["stop_token_ids"] = (*params.stop_token_ids, *ends)
    return replace(params, **changes) if changes else params


def check_tokens(tokens: Sequence[int], vocabulary: Vocabulary, pictures: Sequence[PictureRows] = ()) -> None:
    """UsageError for a token of a prompt that the model has not, and that is no row of a picture."""
    num_tokens = vocabulary.num_tokens
    for index, token in enumerate(tokens):
        if not 0 <= token < num_tokens and not any(one.first <= index < one.end for one in pictures):
            raise UsageError(
                f"prompt: token {index} is {token}, outside of the vocabulary; give ids from 0 to {num_tokens - 1}"
            )


def _check_named(params: SamplingParams, vocabulary: Vocabulary) -> None:
    for name, tokens in (
        ("logit_bias", [token for token, _ in params.logit_bias]),
        ("stop_token_ids", params.stop_token_ids),
        ("shown_tokens", params.shown_tokens),
    ):
        if tokens and max(tokens) >= vocabulary.num_tokens:
            raise UsageError(
                f"{name}: token {max(tokens)} is outside of the vocabulary; give ids from 0 to "
                f"{vocabulary.num_tokens - 1}"
            )


def _check_scored(params: SamplingParams, num_prompt_tokens: int) -> None:
    if params.prompt_logprobs is None:
        return
    num_each = 1 + params.prompt_logprobs
    if num_prompt_tokens * num_each > MAX_PROMPT_LOGPROBS:
        raise UsageError(
            f"prompt_logprobs: {num_each} for each of {num_prompt_tokens} tokens; give fewer, or a prompt of at "
            f"most {MAX_PROMPT_LOGPROBS // num_each} tokens"
        )
