"""Finish: when a text is complete, as far as counts can tell (stop strings: see `stop_strings`)."""

from __future__ import annotations

from collections.abc import Set

from cluster.api.results import FinishReason
from cluster.api.sampling import SamplingParams


def finish_before_start(params: SamplingParams, num_prompt_tokens: int, context_length: int) -> FinishReason | None:
    """Why a request can end without a token: none is wanted, or the prompt leaves no room for one."""
    if params.max_tokens == 0:
        return FinishReason.LENGTH
    if num_prompt_tokens >= context_length:
        return FinishReason.CONTEXT
    return None


def ends_text(token: int, params: SamplingParams, end_tokens: Set[int]) -> bool:
    """The token is an end token that counts, or one that the request names.

    The end of a grammar always counts: nothing could follow it.
    """
    return (token in end_tokens and (not params.ignore_eos or bool(params.grammar))) or token in params.stop_token_ids


def finish_after(
    params: SamplingParams, num_generated: int, num_tokens: int, context_length: int
) -> FinishReason | None:
    """Why a request ends after its newest token. Prompt and text together never exceed the context.

    The token that fills the context is delivered, though no row is ever computed for it.
    """
    if params.max_tokens is not None and num_generated >= params.max_tokens:
        return FinishReason.LENGTH
    if num_tokens >= context_length:
        return FinishReason.CONTEXT
    return None
