"""What a request took, as OpenAI's API and as llama-server tell it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cluster.api.results import Timings


def usage(num_prompt: int, num_cached: int, num_tokens: int, num_reasoning: int | None = None) -> dict[str, Any]:
    """`num_reasoning`: None where there is nothing such."""
    found: dict[str, Any] = {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_tokens,
        "total_tokens": num_prompt + num_tokens,
        "prompt_tokens_details": {"cached_tokens": num_cached},
    }
    if num_reasoning is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": num_reasoning}
    return found


def timings(of: Timings) -> dict[str, Any]:
    """llama-server's: of drafts only where there were some. Of a prompt, what was not cached counts as computed."""
    num_prompt = of.num_prompt_tokens - of.num_cached_tokens
    drafts = {"draft_n": of.num_drafted, "draft_n_accepted": of.num_accepted} if of.num_drafted else {}
    return {
        "cache_n": of.num_cached_tokens,
        "prompt_n": num_prompt,
        "prompt_ms": of.prefill_ms,
        "prompt_per_token_ms": of.prefill_ms / max(1, num_prompt),
        "prompt_per_second": _per_second(num_prompt, of.prefill_ms),
        "predicted_n": of.num_tokens,
        "predicted_ms": of.decode_ms,
        "predicted_per_token_ms": of.decode_ms / max(1, of.num_tokens),
        "predicted_per_second": _per_second(of.num_tokens, of.decode_ms),
        "queue_ms": of.queue_ms,
        **drafts,
    }


def longest(of: Iterable[Timings]) -> Timings:
    """Of several choices, those of the one that took longest."""
    return max(of, key=lambda one: one.prefill_ms + one.decode_ms, default=Timings())


def _per_second(number: int, took_ms: float) -> float:
    return 1000 * number / took_ms if took_ms > 0 else 0.0
